"""What is wrong this morning, in one page."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.expressions import RawSQL
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
WRONG = (Verdict.FAIL, Verdict.INCONCLUSIVE)
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
    active = rows(scan_status__in=[ScanStatus.QUEUED, ScanStatus.RUNNING])
    drifted = drifted_scans()
    # Each of the three knows of a scan; only where none does, one question more.
    is_quiet = not (today["total"] or active or drifted)
    context = {
        "since": (now - DAY).isoformat(timespec="seconds"),
        "today": today,
        "active": active,
        "failing": rows(created_at__gt=now - DAY, verdict__in=WRONG),
        "chart": chart(now, days),
        "days": days,
        "periods": PERIODS,
        "looks": list(looks(now, drifted)),
        "scanners": scanner_states(Worker.objects.live()),
        "is_empty": is_quiet and not Scan.objects.exists(),
    }
    return render(request, "console/overview.html", context)


def rows(*conditions: Q | RawSQL, **lookups: Any) -> list[Row]:
    """Return the newest few of these scans, asked for as the API's list asks."""
    kept = SCANS.filter(*conditions, **lookups)[:LISTED]
    return [scan_shape(row) for row in kept]


def today_of(now: datetime) -> dict[str, int]:
    """Return how many scans of the last day have each verdict, and `total`."""
    counted = {
        verdict.name.lower(): Count("pk", filter=Q(verdict=verdict))
        for verdict in Verdict
    }
    recent = Scan.objects.filter(created_at__gt=now - DAY)
    return dict(recent.order_by().aggregate(total=Count("pk"), **counted))


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


def chart(now: datetime, days: int) -> Chart:
    last = now.astimezone(UTC).date()
    first = last - timedelta(days=days - 1)
    return drawn(past_days.read(first, last), last=last, days=days)


class PastDays:
    """Remembers for an hour what was found on days that are over.

    They change only when scans are deleted, and counting them reads every scan of
    three months, which at a million takes most of a second.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[date, date], tuple[float, Found]] = {}

    def read(self, first: date, last: date) -> Found:
        """Return the days from `first` to `last`, this one as it is now."""
        now = time.monotonic()
        read_at, found = self._kept.get((first, last), (now - KEPT_SECONDS, {}))
        if now - read_at < KEPT_SECONDS:
            return found | counted(last, last + DAY)
        found = counted(first, last + DAY)
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
