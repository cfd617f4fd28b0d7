"""What is wrong this morning, in one page."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, Q
from django.db.models.expressions import RawSQL
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from apikeys.choices import Role
from scanners.contract import Severity
from scans.choices import ScanStatus, Verdict
from scans.console.days import NAMES, Chart, drawn
from scans.console.doors import PageRequest, needs
from scans.console.lists import tidy
from scans.exports.shapes import SCANS, Row, scan_shape
from scans.models import Scan, ScanDay, ScanDrift, Waiver, Worker
from scans.models.days import begin_of, found_by_day
from scans.models.scans import has_any
from scans.scanner_states import scanner_states

DAY = timedelta(days=1)
PERIODS = (30, 90)
LISTED = 6
LOOKED_AT = 2_000
ACTIVE = (ScanStatus.QUEUED, ScanStatus.RUNNING)
WRONG = (Verdict.FAIL, Verdict.INCONCLUSIVE)
# How far back something that nobody has looked at is still news.
NEWS = timedelta(days=14)
SOON = timedelta(days=14)


@require_safe
@needs(Role.VIEWER)
def overview(request: PageRequest) -> HttpResponse:
    if tidied := tidy(request):
        return tidied
    now = timezone.now()
    days = PERIODS[request.GET.get("days") == str(PERIODS[1])]
    today, chart = recent(now, days)
    active = rows(scan_status__in=ACTIVE)
    drifted = drifted_scans()
    # Each of the three knows of a scan; only where none does, one question more.
    is_quiet = not (today["total"] or active or drifted)
    context = {
        "since": (now - DAY).isoformat(timespec="seconds"),
        "today": today,
        "active": active,
        "failing": rows(created_at__gt=now - DAY, verdict__in=WRONG),
        "chart": chart,
        "days": days,
        "periods": PERIODS,
        "looks": list(looks(now, drifted)),
        "scanners": scanner_states(Worker.objects.live()),
        "is_empty": is_quiet and not Scan.objects.exists(),
    }
    return render(request, "console/overview.html", context)


@require_safe
@needs(Role.VIEWER)
def running(request: PageRequest) -> HttpResponse:
    """Answer with the part of the overview that is asked for again and again."""
    context = {"active": rows(scan_status__in=ACTIVE)}
    return render(request, "console/parts/running_now.html", context)


def rows(*conditions: Q | RawSQL, **lookups: Any) -> list[Row]:
    """Return the newest few of these scans, asked for as the API's list asks."""
    kept = SCANS.filter(*conditions, **lookups)[:LISTED]
    return [scan_shape(row) for row in kept]


def recent(now: datetime, days: int) -> tuple[dict[str, int], Chart]:
    """Return how many scans of the last day have each verdict, and `total`; the chart.

    Days that are over were counted before. Those that nobody has counted yet, as
    yesterday is soon after midnight, and today are read with the scans of the last day.
    """
    last = now.astimezone(UTC).date()
    first = last - timedelta(days=days - 1)
    found = dict(ScanDay.objects.found(first))
    uncounted = max(found, default=first - DAY) + DAY
    is_recent = Q(created_at__gt=now - DAY)
    counts = {
        verdict.name.lower(): Count("pk", filter=is_recent & Q(verdict=verdict))
        for verdict in Verdict
    }
    counts["total"] = Count("pk", filter=is_recent)
    counted = list(found_by_day(min(begin_of(uncounted), now - DAY), **counts))
    for row in counted:
        if row["day"] >= uncounted:
            found[row["day"]] = {name: row[name] for name in NAMES}
    today = {name: sum(row[name] for row in counted) for name in counts}
    return today, drawn(found, last=last, days=days)


def looks(now: datetime, drifted: Iterable[uuid.UUID]) -> Iterator[Row]:
    """Yield what somebody has to decide on: new and grave, drifted, or ending soon."""
    recent: dict[str, Any] = {
        "created_at__gt": now - NEWS,
        "scan_status": ScanStatus.COMPLETED,
    }
    grave = rows(has_any(Severity.CRITICAL), new_findings__gt=0, **recent)
    changed = rows(pk__in=drifted, **recent)
    for why, found in (("new critical", grave), ("drift", changed)):
        seen: set[str] = set()
        for scan in found:
            if scan["target"] not in seen:
                seen.add(scan["target"])
                yield {"why": why, "scan": scan}
    ending = Waiver.objects.in_force().filter(expires_at__lt=now + SOON)
    for waiver in ending.order_by("expires_at")[:LISTED]:
        yield {"why": "waiver ends", "waiver": waiver}


def drifted_scans() -> list[uuid.UUID]:
    """Return the newest scans that differ from their baseline.

    Only among the newest that were compared: where nothing has drifted, all would be
    looked through. Their ids, since joined to their scans no index gives the order.
    """
    compared = ScanDrift.objects.order_by("-pk").values_list("pk", "changes__0__kind")
    return [pk for pk, kind in compared[:LOOKED_AT] if kind][:LISTED]
