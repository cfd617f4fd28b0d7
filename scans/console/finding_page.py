"""One finding: what it is, where else it was found, whether somebody accepts it."""

from __future__ import annotations

import uuid

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apikeys.choices import Role
from scans.choices import NotFound
from scans.console.doors import PageRequest, needs
from scans.console.finding_list import name_targets
from scans.console.waiver_pages import ScopeForm, first_answers
from scans.exports.shapes import Row, read_finding, read_waiver
from scans.models import Finding

ELSEWHERE = 20


@require_safe
@needs(Role.VIEWER)
def finding_page(request: PageRequest, finding_id: uuid.UUID) -> HttpResponse:
    finding = read_finding(finding_id)
    if finding is None:
        raise NotFound("There is no such finding")
    others = _others(finding)
    name_targets([finding, *others])
    waiver = read_waiver(finding["waiver_id"]) if finding["waiver_id"] else None
    context = {
        "finding": finding,
        "others": others[:ELSEWHERE],
        "has_more": len(others) > ELSEWHERE,
        "waiver": waiver,
        "form": ScopeForm(initial=first_answers()),
    }
    return render(request, "console/finding.html", context)


def _others(finding: Row) -> list[Row]:
    """Return where else this weakness was found, the newest scans first."""
    same = Finding.objects.filter(fingerprint=finding["fingerprint"])
    # Ids of scans are in the order of time, and the index ends with them.
    rows = same.exclude(pk=finding["finding_id"]).order_by("-scan_id")
    columns = ("finding_id", "scan_id", "created_at", "is_new")
    return list(rows.values(*columns)[: ELSEWHERE + 1])
