"""Who did what."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from rest_framework import serializers

from apikeys.choices import Role
from apikeys.models import AuditEvent
from scans.api.queries import Query, Rows, Values
from scans.console.doors import PageRequest, needs
from scans.console.lists import listed, tidy

# Offered while one types; others can be asked for.
ACTIONS = (
    *("api_key.create", "api_key.revoke", "api_key.rotate"),
    *("baseline.approve", "baseline.create", "baseline.delete", "baseline.retire"),
    *("installation.backup", "installation.restore", "installation_key.use"),
    *("policy.create", "policy.revise"),
    *("policy_default.create", "policy_default.delete"),
    *("scan.cancel", "scan.delete", "scan.prune", "scan.rescan", "scan.submit"),
    *("user.change_password", "user.create", "user.sign_in", "user.sign_out"),
    *("waiver.create", "waiver.delete"),
)


class AuditQuery(Query):
    """The filters of GET /audit-events: each has its index."""

    actor = serializers.CharField(max_length=200, required=False)
    action = serializers.CharField(max_length=60, required=False)
    created_after = serializers.DateTimeField(required=False)
    created_before = serializers.DateTimeField(required=False)

    @classmethod
    def filter(cls, rows: Rows, values: Values) -> Rows:
        lookups = {
            "created_after": "created_at__gt",
            "created_before": "created_at__lt",
        }
        return rows.filter(**{lookups.get(k, k): v for k, v in values.items()})


@require_safe
@needs(Role.ADMIN)
def audit_log(request: PageRequest) -> HttpResponse:
    if tidied := tidy(request):
        return tidied
    rows = AuditEvent.objects.order_by("-created_at", "-id").values()
    events = listed(request, AuditQuery, rows, _event)
    return render(request, "console/audit.html", {"list": events, "actions": ACTIONS})


def _event(row: dict[str, Any]) -> dict[str, Any]:
    # What is empty says nothing in a line.
    told = {
        name: value for name, value in row["detail"].items() if value not in (None, "")
    }
    return row | {"detail": told}
