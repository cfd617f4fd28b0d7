"""One scan: its verdict in words, what was looked at, what was found, what changed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from rest_framework import serializers

from apikeys.choices import Role
from scanners.contract import TargetKind
from scanners.registry import scanners_for
from scans.api.queries import SEVERITIES, ScanFindingQuery
from scans.choices import NotFound
from scans.console.coverage_tree import Branch, grown
from scans.console.doors import PageRequest, needs
from scans.console.lists import listed, tidy
from scans.console.scanner_matrix import matrix_of
from scans.drift.elements import label
from scans.exports.forms import REPORTS, SBOMS
from scans.exports.shapes import FINDINGS, Row, finding_shape, read_scan_detail
from scans.models import FINISHED, Baseline, ScanDetail, ScanDrift, ScanSnapshot
from scans.waivers import EVERY_TARGET

# What is listed whole on the page; more is on a page of its own.
TREE_ELEMENTS = 300
SHOWN_CHANGES = 60
WAIVER_DAYS = (7, 30, 90, 180, 365)
STAGES = (("queued", "Queued"), ("fetch", "Fetching"), ("scan", "Scanning"))


class PlacedQuery(ScanFindingQuery):
    """As the API asks for findings of a scan, and by the element that they are in."""

    path = serializers.CharField(
        max_length=2_000, trim_whitespace=False, required=False
    )

    @classmethod
    def filter(cls, rows: Any, values: Row) -> Any:
        rows = super().filter(rows, values)
        return rows.filter(location__path=values["path"]) if "path" in values else rows


@dataclass(frozen=True, slots=True)
class Drifted:
    """All that is otherwise about one element, the gravest change first."""

    element: str
    severity: str
    changes: list[Row]

    @property
    def kinds(self) -> list[str]:
        return list(dict.fromkeys(change["kind"] for change in self.changes))


@require_safe
@needs(Role.VIEWER)
def scan_page(request: PageRequest, scan_id: uuid.UUID) -> HttpResponse:
    if tidied := tidy(request):
        return tidied
    scan = found(scan_id)
    if scan["scan_status"] not in FINISHED:
        context = {"scan": scan, "live": live_context(scan)}
        return render(request, "console/scan_running.html", context)
    return render(request, "console/scan.html", finished_context(request, scan))


@require_safe
@needs(Role.VIEWER)
def scan_coverage(request: PageRequest, scan_id: uuid.UUID) -> HttpResponse:
    scan = found(scan_id)
    context = {"scan": scan, "tree": tree_of(scan)}
    return render(request, "console/coverage.html", context)


def found(scan_id: uuid.UUID) -> Row:
    # Its target is None for scans of a release that kept none.
    scan = read_scan_detail(scan_id, target_id="target_record_id")
    if scan is None:
        raise NotFound("There is no such scan")
    return scan


def live_context(scan: Row) -> Row:
    """Return what is told of a scan that is not finished."""
    names = [key for key, _ in STAGES]
    now = scan["progress"]["stage"]
    at = names.index(now) if now in names else 0
    stages = [
        {"label": text, "state": "done" if i < at else "now" if i == at else "later"}
        for i, (_, text) in enumerate(STAGES)
    ]
    at_work = at_work_in(scan) if now == "scan" else {}
    return {
        "scan": scan,
        "stages": [*stages, {"label": "Verdict", "state": "later"}],
        "progress": scan["progress"],
        "scanners": sorted(at_work.items()),
    }


def at_work_in(scan: Row) -> dict[str, str]:
    """Return each scanner's state; before anybody told one, all that may fit run."""
    told = ScanDetail.objects.filter(pk=scan["scan_id"]).values_list("at_work").first()
    fitting = scanners_for(TargetKind(scan["scan_type"]))
    return (told and told[0]) or {scanner.name: "running" for scanner in fitting}


def finished_context(request: PageRequest, scan: Row) -> Row:
    rows = FINDINGS.filter(scan_id=scan["scan_id"])
    findings = listed(
        request,
        PlacedQuery,
        rows.order_by("-severity", "finding_id"),
        finding_shape,
    )
    gaps = gaps_of(scan)
    return {
        "scan": scan,
        "list": findings,
        "groups": grouped(findings.rows),
        "counts": [(name, scan[f"{name}_count"]) for name in SEVERITIES[::-1]],
        "matrix": matrix_of(scan),
        "drift": drift_of(scan),
        "gaps": gaps,
        "notes": notes_of(scan),
        "tree": tree_of(scan) if elements_in(scan) <= TREE_ELEMENTS else None,
        "elements": elements_in(scan),
        "reports": [*REPORTS.values(), *SBOMS.values()],
        "waiver_days": WAIVER_DAYS,
        "every_target": EVERY_TARGET,
    }


def grouped(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    """Return the findings of one page by severity, as they come: the worst first."""
    return [(name, list(each)) for name, each in groupby(rows, lambda r: r["severity"])]


def gaps_of(scan: Row) -> dict[str, str]:
    """Return path -> why nobody examined it, as its scanners said."""
    return {
        skip["path"]: skip["reason"]
        for run in scan["runs"]
        for skip in run["coverage"]["skipped"]
    }


def notes_of(scan: Row) -> list[str]:
    notes = (note for run in scan["runs"] for note in run["coverage"]["notes"])
    return list(dict.fromkeys(notes))


def elements_in(scan: Row) -> int:
    return max((run["coverage"]["files_total"] for run in scan["runs"]), default=0)


def tree_of(scan: Row) -> Branch:
    rows = ScanSnapshot.objects.filter(pk=scan["scan_id"]).values_list("elements")
    elements = (rows.first() or ([],))[0] or []
    return grown([each["path"] for each in elements], gaps_of(scan))


def drift_of(scan: Row) -> Row | None:
    """Return how the scan differs from its baseline; None where none was in force."""
    columns = ("baseline_id", "changes", "omitted", "not_compared")
    row = ScanDrift.objects.filter(pk=scan["scan_id"]).values(*columns).first()
    if row is None:
        return None
    names = Baseline.objects.filter(pk=row["baseline_id"]).values("name", "created_by")
    changes = row["changes"]
    is_mcp = scan["scan_type"] == TargetKind.MCP
    elements = list(_elements(changes[:SHOWN_CHANGES], is_mcp=is_mcp))
    return {
        **row,
        "baseline": names.first(),
        "elements": elements,
        "left_out": len(changes[SHOWN_CHANGES:]) + row["omitted"],
    }


def _elements(changes: list[Any], *, is_mcp: bool) -> Iterator[Drifted]:
    by_element: dict[str, list[Row]] = {}
    for change in changes:
        by_element.setdefault(change["element"], []).append(change)
    for element, own in by_element.items():
        worst = max(own, key=lambda change: SEVERITIES.index(change["severity"]))
        yield Drifted(label(element, is_mcp=is_mcp), worst["severity"], own)
