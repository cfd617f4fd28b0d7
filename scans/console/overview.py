"""What is wrong this morning, in one page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import TruncDate
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
from scans.models import Scan, ScanDrift, Waiver, Worker
from scans.models.scans import has_any
from scans.scanner_states import scanner_states

DAY = timedelta(days=1)
PERIODS = (30, 90)
LISTED = 6
LOOKED_AT = 2_000
# How far back something that nobody has looked at is still news.
NEWS = timedelta(days=14)
SOON = timedelta(days=14)
KEPT_SECONDS = 3600

type Found = dict[date, dict[str, int]]


@require_safe
@needs(Role.VIEWER)
def overview(request: PageRequest) -> HttpResponse:
    if tidied := tidy(request):
        return tidied
    now = timezone.now()
    days = PERIODS[request.GET.get("days") == str(PERIODS[1])]
    today = today_of(now)
    active = rows(Scan.objects.unfinished(), "-created_at")
    context = {
        "since": (now - DAY).isoformat(timespec="seconds"),
        "today": today,
        "active": active,
        "failing": rows(failing(now), "-created_at"),
        "chart": chart(now, days),
        "days": days,
        "periods": PERIODS,
        "looks": list(looks(now)),
        "scanners": scanner_states(Worker.objects.live()),
        "is_empty": not (today["total"] or active) and not Scan.objects.exists(),
    }
    return render(request, "console/overview.html", context)


def rows(which: QuerySet[Scan], *order: str) -> list[Row]:
    """Return the newest few of these scans, as lists show them."""
    kept = SCANS.filter(pk__in=which.order_by(*order).values("pk")[:LISTED])
    return [scan_shape(row) for row in kept]


def today_of(now: datetime) -> dict[str, int]:
    """Return how many scans of the last day have each verdict, and `total`."""
    counted = {
        verdict.name.lower(): Count("pk", filter=Q(verdict=verdict))
        for verdict in Verdict
    }
    recent = Scan.objects.filter(created_at__gt=now - DAY)
    return dict(recent.order_by().aggregate(total=Count("pk"), **counted))


def failing(now: datetime) -> QuerySet[Scan]:
    wrong = (Verdict.FAIL, Verdict.INCONCLUSIVE)
    return Scan.objects.filter(created_at__gt=now - DAY, verdict__in=wrong)


def looks(now: datetime) -> Iterator[Row]:
    """Yield what somebody has to decide on: new and grave, drifted, or ending soon."""
    recent = Scan.objects.filter(
        created_at__gt=now - NEWS, scan_status=ScanStatus.COMPLETED
    )
    # Only among the newest: where nothing is to be told, all would be looked through.
    grave = Scan.objects.filter(has_any(Severity.CRITICAL))
    newest = grave.order_by("-created_at", "-scan_id").values("pk")[:LOOKED_AT]
    compared = ScanDrift.objects.order_by("-pk").values("pk")[:LOOKED_AT]
    drifted = ScanDrift.objects.filter(pk__in=compared, changes__0__isnull=False)
    for why, which in (
        ("new critical", recent.filter(pk__in=newest, new_findings__gt=0)),
        ("drift", recent.filter(pk__in=drifted.values("pk"))),
    ):
        seen: set[str] = set()
        for scan in rows(which, "-created_at"):
            if scan["target"] not in seen:
                seen.add(scan["target"])
                yield {"why": why, "scan": scan}
    ending = Waiver.objects.in_force().filter(expires_at__lt=now + SOON)
    for waiver in ending.order_by("expires_at")[:LISTED]:
        yield {"why": "waiver ends", "waiver": waiver}


def chart(now: datetime, days: int) -> Chart:
    last = now.astimezone(UTC).date()
    first = last - timedelta(days=days - 1)
    found = past_days.read(first, last) | counted(last, last + DAY)
    return drawn(found, last=last, days=days)


class PastDays:
    """Remembers for an hour what was found on days that are over.

    They change only when scans are deleted, and counting them reads every scan of
    three months, which at a million takes most of a second.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[date, date], tuple[float, Found]] = {}

    def read(self, first: date, last: date) -> Found:
        """Return the days from `first` to before `last`."""
        now = time.monotonic()
        read_at, found = self._kept.get((first, last), (now - KEPT_SECONDS, {}))
        if now - read_at >= KEPT_SECONDS:
            found = counted(first, last)
            kept = {key: each for key, each in self._kept.items() if key[1] == last}
            self._kept = kept | {(first, last): (now, found)}
        return found

    def forget(self) -> None:
        self._kept = {}


past_days = PastDays()


def counted(first: date, end: date) -> Found:
    """Return the findings of the scans of each day from `first` to before `end`."""
    since, until = (datetime(d.year, d.month, d.day, tzinfo=UTC) for d in (first, end))
    kept = Scan.objects.filter(created_at__gte=since, created_at__lt=until)
    sums: dict[str, Any] = {name: Sum(f"{name}_count") for name in NAMES}
    by_day: QuerySet[Any, Any] = (
        kept.order_by().annotate(day=TruncDate("created_at")).values("day")
    )
    return {
        row["day"]: {name: row[name] for name in NAMES}
        for row in by_day.annotate(**sums)
    }
