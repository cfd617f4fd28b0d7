"""What past days found: counted by the clock, once an hour."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from scans import tasks
from scans.models import Scan, ScanDay, Tally
from scans.models.days import KEPT_DAYS
from tests.scans.api_samples import make_scan

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def scan_at(when: datetime, **counts: int) -> Scan:
    return make_scan(created_at=when, **counts)


def counted() -> dict[date, int]:
    rows = ScanDay.objects.filter(high_count__gt=0)
    return dict(rows.values_list("day", "high_count"))


def test_each_day_that_is_over_has_its_findings_and_today_has_no_row():
    scan_at(datetime(2026, 3, 9, 23, 59, 59, tzinfo=UTC), high_count=2, low_count=5)
    scan_at(datetime(2026, 3, 9, tzinfo=UTC), high_count=1)
    scan_at(datetime(2026, 3, 8, 23, 59, 59, tzinfo=UTC), high_count=7)
    scan_at(datetime(2026, 3, 10, tzinfo=UTC), high_count=100)
    assert ScanDay.objects.renew(NOON)
    assert counted() == {date(2026, 3, 8): 7, date(2026, 3, 9): 3}
    assert ScanDay.objects.get(day=date(2026, 3, 9)).low_count == 5
    assert ScanDay.objects.count() == KEPT_DAYS


def test_they_are_counted_once_an_hour_and_once_a_day_is_over():
    assert ScanDay.objects.renew(NOON)
    assert not ScanDay.objects.renew(NOON + timedelta(minutes=59))
    assert ScanDay.objects.renew(NOON + timedelta(hours=1))
    late = NOON.replace(hour=23, minute=50)
    assert ScanDay.objects.renew(late)
    assert ScanDay.objects.renew(late + timedelta(minutes=11))


def test_what_was_deleted_is_gone_from_its_day_and_old_days_go():
    scan = scan_at(NOON - timedelta(days=1), high_count=3)
    ScanDay.objects.renew(NOON)
    scan.delete()
    ScanDay.objects.renew(NOON + timedelta(days=1))
    assert counted() == {}
    kept = ScanDay.objects.order_by("day")
    assert kept[0].day == date(2026, 3, 11) - timedelta(days=KEPT_DAYS)
    assert len(kept) == KEPT_DAYS


def test_the_clock_has_them_counted():
    tasks.count_days()
    assert ScanDay.objects.count() == KEPT_DAYS
    assert Tally.objects.filter(labels="count_days").exists()
