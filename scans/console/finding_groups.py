"""Open findings across targets, together by rule or by target."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Max, Min, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apikeys.choices import Role
from scanners.contract import Severity
from scans.console.doors import PageRequest, needs
from scans.exports.shapes import Row
from scans.models import TargetFinding

# Grouping reads every row: of more than these nobody would wait for an answer.
MOST_ROWS = 50_000
MOST_GROUPS = 200
_COUNTS: dict[str, Any] = {
    "total": Count("pk"),
    **{
        f"{severity.name.lower()}_count": Count("pk", filter=Q(severity=severity))
        for severity in Severity
    },
}


@require_safe
@needs(Role.VIEWER)
def by_rule(request: PageRequest) -> HttpResponse:
    groups = _grouped(
        "rule",
        title=Min("title"),
        category=Min("category"),
        targets=Count("target", distinct=True),
    )
    return _page(request, "rule", groups)


@require_safe
@needs(Role.VIEWER)
def by_target(request: PageRequest) -> HttpResponse:
    names = ("target_id", "target__name", "target__scan_type")
    groups = _grouped(*names, rules=Count("rule", distinct=True))
    return _page(request, "target", groups)


def _grouped(*names: str, **more: Any) -> QuerySet[Any, Row]:
    """Return open findings in groups, the group with the worst first."""
    some = TargetFinding.objects.open().order_by().values("pk")[:MOST_ROWS]
    rows = TargetFinding.objects.filter(pk__in=some).order_by().values(*names)
    told = {"worst": Max("severity"), "since": Min("first_seen_at"), **_COUNTS, **more}
    groups: QuerySet[Any, Row] = rows.annotate(**told)
    return groups.order_by("-worst", "-total", names[0])


def _page(request: PageRequest, view: str, groups: QuerySet[Any, Row]) -> HttpResponse:
    rows = list(groups[: MOST_GROUPS + 1])
    total = sum(row["total"] for row in rows)
    context = {
        "view": view,
        "rows": rows[:MOST_GROUPS],
        "total": total,
        "has_more": len(rows) > MOST_GROUPS or total >= MOST_ROWS,
    }
    return render(request, "console/finding_groups.html", context)
