"""What the scans of each day that is over found, counted once and not at each look."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import models
from django.db.models import QuerySet, Sum
from django.db.models.functions import TruncDate

from scanners.contract import Severity
from scans.models.scans import Scan

NAMES = tuple(severity.name.lower() for severity in reversed(Severity))
COLUMNS = tuple(f"{name}_count" for name in NAMES)
KEPT_DAYS = 90
# Scans are deleted, and one that was begun before midnight ends after it.
FRESH = timedelta(hours=1)

type Found = Mapping[date, Mapping[str, int]]


def found_by_day(since: datetime, **more: Any) -> QuerySet[Any, Any]:
    """Return for each day what its scans since then found, as rows with `day`.

    `more` is counted of the same rows, which are all read. No row: a day without scans.
    """
    sums: dict[str, Any] = {
        name: Sum(column) for name, column in zip(NAMES, COLUMNS, strict=True)
    }
    scans = Scan.objects.filter(created_at__gte=since).order_by()
    by_day: QuerySet[Any, Any] = scans.annotate(day=TruncDate("created_at"))
    rows: QuerySet[Any, Any] = by_day.values("day").annotate(**sums, **more)
    return rows


def begin_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


class ScanDayQuerySet(models.QuerySet["ScanDay"]):
    def found(self, first: date) -> Found:
        """Return what each day from `first` on found, as far as they were counted."""
        rows = self.filter(day__gte=first).values_list("day", *COLUMNS)
        return {day: dict(zip(NAMES, row, strict=True)) for day, *row in rows}

    def renew(self, now: datetime) -> bool:
        """Count the days that are over; False where that was done within the hour."""
        today = now.astimezone(UTC).date()
        yesterday = today - timedelta(days=1)
        if self.filter(day=yesterday, counted_at__gt=now - FRESH).exists():
            return False
        # Those without scans too: the days that are kept have no gap.
        days = [today - timedelta(days=back) for back in range(KEPT_DAYS, 0, -1)]
        counted = found_by_day(begin_of(days[0])).filter(created_at__lt=begin_of(today))
        found = {row["day"]: row for row in counted}
        rows = [
            ScanDay(
                day=day,
                counted_at=now,
                **{f"{name}_count": found.get(day, {}).get(name, 0) for name in NAMES},
            )
            for day in days
        ]
        self.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["day"],
            update_fields=["counted_at", *COLUMNS],
        )
        self.filter(day__lt=days[0]).delete()
        return True


class ScanDay(models.Model):
    """Findings of the scans that were submitted on one day (UTC), by severity."""

    day = models.DateField(primary_key=True)
    counted_at = models.DateTimeField()
    # Of a busy installation, more than an integer of 32 bits holds.
    critical_count = models.PositiveBigIntegerField(default=0)
    high_count = models.PositiveBigIntegerField(default=0)
    medium_count = models.PositiveBigIntegerField(default=0)
    low_count = models.PositiveBigIntegerField(default=0)
    info_count = models.PositiveBigIntegerField(default=0)

    objects = ScanDayQuerySet.as_manager()

    class Meta:
        db_table = "scan_days"

    def __str__(self) -> str:
        return self.day.isoformat()
