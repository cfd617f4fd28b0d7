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
    return _grouped(
        request,
        "rule",
        "rule",
        title=Min("title"),
        category=Min("category"),
        targets=Count("target", distinct=True),
    )


@require_safe
@needs(Role.VIEWER)
def by_target(request: PageRequest) -> HttpResponse:
    names = ("target_id", "target__name", "target__scan_type")
    return _grouped(request, "target", *names, rules=Count("rule", distinct=True))


def _grouped(request: PageRequest, view: str, *names: str, **more: Any) -> HttpResponse:
    """Draw open findings in groups, the group with the worst first."""
    some, is_cut = _some_open()
    told = {"worst": Max("severity"), "since": Min("first_seen_at"), **_COUNTS, **more}
    groups: QuerySet[Any, Row] = some.order_by().values(*names).annotate(**told)
    rows = list(groups.order_by("-worst", "-total", names[0])[: MOST_GROUPS + 1])
    context = {
        "view": view,
        "rows": rows[:MOST_GROUPS],
        "total": sum(row["total"] for row in rows),
        "has_more": is_cut or len(rows) > MOST_GROUPS,
    }
    return render(request, "console/finding_groups.html", context)


def _some_open() -> tuple[QuerySet[TargetFinding], bool]:
    """Return the open findings of as many whole targets as MOST_ROWS are in.

    And whether some are left out. The index of open findings has them by target: up to
    a target is a range of it, whereas a LIMIT would have to be joined to itself.
    """
    rows = TargetFinding.objects.open()
    by_target = rows.order_by("target_id").values_list("target_id", flat=True)
    beyond = by_target[MOST_ROWS : MOST_ROWS + 1].first()
    if beyond is None:
        return rows, False
    before = rows.filter(target_id__lt=beyond)
    # One target alone may have more than these.
    return (before if before.exists() else rows.filter(target_id=beyond)), True
