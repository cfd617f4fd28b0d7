"""Findings across scans: look for them, and choose those to be waived."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apikeys.choices import Role
from scanners.contract import Category
from scanners.registry import SCANNERS
from scans.api.queries import SEVERITIES, FindingQuery
from scans.comparing import SCANNER as DRIFT
from scans.console.doors import PageRequest, needs
from scans.console.lists import listed, tidy
from scans.exports.shapes import FINDINGS, Row, finding_shape
from scans.models import Scan


@require_safe
@needs(Role.VIEWER)
def finding_list(request: PageRequest) -> HttpResponse:
    if tidied := tidy(request):
        return tidied
    rows = FINDINGS.order_by("-created_at", "-finding_id")
    page = listed(request, FindingQuery, rows, finding_shape)
    name_targets(page.rows)
    context = {
        "list": page,
        "choices": {
            "severity": SEVERITIES[::-1],
            "category": sorted(Category.values),
            "scanner": sorted([*SCANNERS, DRIFT]),
        },
    }
    return render(request, "console/findings.html", context)


def name_targets(rows: list[Row]) -> None:
    """Say of each finding on what it was found, with one query for all."""
    scans = {row["scan_id"] for row in rows}
    columns = Scan.objects.filter(pk__in=scans).values_list("pk", "target", "scan_type")
    found = {key: {"target": name, "scan_type": kind} for key, name, kind in columns}
    for row in rows:
        # A scan that was deleted between the two queries took its findings with it.
        row |= found.get(row["scan_id"], {"target": "", "scan_type": "model"})
