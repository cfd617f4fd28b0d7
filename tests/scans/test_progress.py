"""Bytes laid out and hashed, then the time against the limit."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from scanners.contract import ScanStopped
from scanners.workspace import WorkspaceError
from scans import pipeline, progress
from scans.exports import shapes
from scans.models import Lease, Scan, ScanDetail
from scans.models.scans import ScanQuerySet
from scans.progress import AtWork, Meter
from tests.scanners.standin import wait_for
from tests.scans import stand_ins
from tests.scans.builders import queued_scan, run_in_thread, run_now

pytestmark = pytest.mark.django_db(transaction=True)


def claimed() -> Lease:
    lease = Scan.objects.claim(queued_scan({"m": b"w"}).pk, owner="me", seconds=60)
    assert lease is not None
    return lease


def meter_for(lease: Lease, *, seconds: float = 60) -> Meter:
    return Meter(lease, threading.Event(), time.monotonic() + seconds)


def told(scan_id: Any) -> dict[str, Any]:
    scan = shapes.read_scan(scan_id)
    assert scan is not None
    found: dict[str, Any] = scan["progress"]
    return found


def test_a_fetch_tells_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PAUSE_SECONDS", 0)
    lease = claimed()
    meter = meter_for(lease)
    meter.expect(10)
    meter(4)
    meter()
    meter(3)
    assert told(lease.scan_id) == {"stage": "fetch", "done": 7, "total": 10}


def test_a_fast_fetch_writes_nothing(django_assert_num_queries: Any) -> None:
    meter = meter_for(claimed())
    with django_assert_num_queries(0):
        for _ in range(1000):
            meter(1 << 20)


def test_a_slow_fetch_writes_twice_a_second(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    meter = meter_for(claimed())
    with django_assert_num_queries(20):
        for _ in range(1000):
            now[0] += 0.01
            meter(1)


def test_it_ends_the_work_of_a_stopped_and_of_a_late_scan() -> None:
    lease = claimed()
    stop = threading.Event()
    meter = Meter(lease, stop, time.monotonic() + 60)
    stop.set()
    with pytest.raises(ScanStopped):
        meter(1)
    with pytest.raises(WorkspaceError, match="longer than the scan may"):
        meter_for(lease, seconds=-1)()


def test_a_database_that_is_away_ends_no_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(progress, "PAUSE_SECONDS", 0)
    meter = meter_for(claimed())
    monkeypatch.setattr(ScanQuerySet, "report_fetched", away)
    meter(1)


@pytest.mark.parametrize(
    ("seconds", "done"), [(42, 42), (-5, 0), (4000, 600)], ids=["", "skew", "over"]
)
def test_while_scanners_run_it_is_the_time_against_the_limit(
    monkeypatch: pytest.MonkeyPatch, seconds: int, done: int
) -> None:
    lease = claimed()
    Scan.objects.report_scanning(lease, seconds=600)
    now = timezone.now()
    monkeypatch.setattr(shapes.timezone, "now", lambda: now)
    Scan.objects.update(started_at=now - timedelta(seconds=seconds))
    assert told(lease.scan_id) == {"stage": "scan", "done": done, "total": 600}


def test_a_scan_that_goes_back_to_the_queue_begins_again() -> None:
    lease = claimed()
    Scan.objects.report_scanning(lease, seconds=600)
    Scan.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert Scan.objects.requeue(lease)
    assert told(lease.scan_id) == {"stage": "queued", "done": 0, "total": 0}


class TestJourney:
    @pytest.fixture(autouse=True)
    def own_tools(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pipeline, "installed", stand_ins.own_tool)

    def test_the_bytes_of_an_upload_are_counted_against_its_size(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[tuple[int, int]] = []
        write = ScanQuerySet.report_fetched

        def noted(rows: Any, lease: Lease, done: int, total: int) -> None:
            write(rows, lease, done, total)
            found = told(lease.scan_id)
            seen.append((found["done"], found["total"]))

        monkeypatch.setattr(progress, "PAUSE_SECONDS", 0)
        monkeypatch.setattr(ScanQuerySet, "report_fetched", noted)
        monkeypatch.setattr(pipeline, "scanners_for", lambda kind: [])
        size = (2 << 20) + 5
        run_now(queued_scan({"m": bytes(size)}))
        assert seen == [(1 << 20, size), (2 << 20, size), (size, size)]

    def test_while_scanners_run_the_seconds_go_by(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sleeper = stand_ins.Sleeper()
        monkeypatch.setattr(pipeline, "scanners_for", lambda kind: [sleeper])
        scan = queued_scan({"m": b"w"}, timeout_seconds=90)
        worker = run_in_thread(scan)
        try:
            assert wait_for(lambda: told(scan.pk)["stage"] == "scan")
            first = told(scan.pk)
            assert first["total"] == 90
            assert wait_for(lambda: told(scan.pk)["done"] > first["done"])
        finally:
            Scan.objects.cancel(scan.pk)
            worker.join(timeout=60)

    def test_in_the_end_all_is_done(self, monkeypatch: pytest.MonkeyPatch) -> None:
        finder = stand_ins.Finder()
        monkeypatch.setattr(pipeline, "scanners_for", lambda kind: [finder])
        scan = run_now(queued_scan({"m": b"w"}, timeout_seconds=90))
        assert told(scan.pk) == {"stage": "finished", "done": 90, "total": 90}

    def test_while_scanners_run_it_is_known_which_are_done(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        both = [stand_ins.Sleeper(), stand_ins.Finder()]
        monkeypatch.setattr(pipeline, "scanners_for", lambda kind: both)
        scan = queued_scan({"m": b"w"}, timeout_seconds=90)
        worker = run_in_thread(scan)
        wanted = {"finder": "completed", "sleeper": "running"}
        try:
            assert wait_for(lambda: working(scan.pk) == wanted)
        finally:
            Scan.objects.cancel(scan.pk)
            worker.join(timeout=60)


def test_who_is_at_work_is_told_once_a_change_and_only_by_its_holder(
    django_assert_num_queries: Any,
) -> None:
    lease = claimed()
    at_work = AtWork(lease)
    with django_assert_num_queries(0):
        at_work.tell()
    at_work.note({"one": "running", "two": "running"})
    at_work.note({"one": "completed"})
    at_work.tell()
    assert working(lease.scan_id) == {"one": "completed", "two": "running"}
    with django_assert_num_queries(0):
        at_work.tell()
    Scan.objects.cancel(lease.scan_id)
    at_work.note({"two": "completed"})
    at_work.tell()
    assert working(lease.scan_id) == {"one": "completed", "two": "running"}


def working(scan_id: Any) -> Any:
    return ScanDetail.objects.get(pk=scan_id).at_work
