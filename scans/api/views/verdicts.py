"""The latest verdict on some bytes, for a gate that knows only their digest."""

from __future__ import annotations

import re
from datetime import datetime

from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from scans import rulesets
from scans.api import examples
from scans.api.answers import VerdictSerializer
from scans.api.conditional import answer
from scans.api.queries import VerdictQuery
from scans.api.views.door import Door
from scans.choices import NotFound, ScanStatus, Verdict
from scans.exports.shapes import VERDICT_COLUMNS, Row, verdict_shape
from scans.models import Policy, Prepared, Scan, Worker, live_since
from scans.models.waivers import added, lapsed

_DIGEST = re.compile(r"[0-9a-f]{64}")
RULES_CHANGED = "The rules have changed since this scan: scan these bytes again"
WAIVERS_CHANGED = "Waivers have changed since this scan: scan these bytes again"
POLICY_CHANGED = "The policy {} has changed since this scan: scan these bytes again"
_IN_FORCE = (
    "rules",
    "newest_version",
    "has_other_rules",
    "has_workers",
    "has_lapsed_waivers",
    "has_new_waivers",
)


class VerdictView(Door):
    query = VerdictQuery

    @extend_schema(
        operation_id="get_verdict",
        summary="The latest verdict on these bytes",
        description=examples.VERDICT,
        parameters=[VerdictQuery, examples.IF_NONE_MATCH],
        responses={200: VerdictSerializer, 304: None},
    )
    def get(self, request: Request, digest: str) -> HttpResponse:
        if not _DIGEST.fullmatch(digest.lower()):
            raise ValidationError({"digest": ["64 hexadecimal digits of a SHA-256."]})
        latest = read_verdict(digest.lower(), self.asked["policy"])
        if latest is None:
            raise NotFound("These bytes have not been judged by this policy")
        return answer(
            request, verdict_shape(latest, changes_since(latest)), is_final=True
        )


def read_verdict(digest: str, policy: str) -> Row | None:
    """Return the latest scan that speaks for these bytes, and what is in force now.

    In one statement, so that both are of one moment.
    """
    rows = _LATEST.rows(digest=digest, policy=policy, live_since=live_since())
    return rows[0] if rows else None


def _latest(digest: str, policy: str, live_since: datetime) -> QuerySet[Scan, Row]:
    newest = Policy.objects.filter(name=OuterRef("policy_name")).order_by("-version")
    live = Worker.objects.seen_since(live_since)
    rows: QuerySet[Scan, Row] = (
        Scan.objects.filter(digest=digest, policy_name=policy, is_of_bytes=True)
        .filter(scan_status=ScanStatus.COMPLETED)
        .annotate(
            newest_version=Coalesce(newest.values("version")[:1], "policy_version"),
            has_other_rules=Exists(live.exclude(rules=OuterRef("rules"))),
            has_workers=Exists(live),
            has_lapsed_waivers=Exists(lapsed()),
            has_new_waivers=Exists(added()),
        )
        .order_by("-created_at", "-scan_id")
        .values(*VERDICT_COLUMNS, *_IN_FORCE)[:1]
    )
    return rows


_LATEST = Prepared(_latest)


def changes_since(row: Row) -> list[str]:
    """Say what the verdict rests on that is not in force any more."""
    changes = []
    # A web process on a host without the tools believes the workers.
    here = rulesets.known_here() or (row["rules"] if row["has_workers"] else "")
    if row["has_other_rules"] or not row["rules"] or row["rules"] != here:
        changes.append(RULES_CHANGED)
    if row["newest_version"] != row["policy_version"]:
        changes.append(POLICY_CHANGED.format(row["policy_name"]))
    told = row["detail__of_bytes"] or row
    # One more accepted risk changes nothing but a fail.
    is_milder = row["has_new_waivers"] and told["verdict"] == Verdict.FAIL
    if row["has_lapsed_waivers"] or is_milder:
        changes.append(WAIVERS_CHANGED)
    return changes
