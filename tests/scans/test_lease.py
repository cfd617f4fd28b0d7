from __future__ import annotations

import threading
import uuid
from datetime import timedelta

import pytest
from celery import current_app
from django.db import connection
from django.utils import timezone

from scans import tasks
from scans.choices import ScanStatus
from scans.lease import Heartbeat
from scans.models import Scan
from tests.project.running import eventually
from tests.scans.builders import queued_scan

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def rung(monkeypatch) -> list[str]:
    """What the queue was told, in place of a broker."""
    heard: list[str] = []

    def hear(arguments: tuple[str], *, queue: str) -> None:
        heard.append(f"{arguments[0]} {queue}")

    monkeypatch.setattr(tasks.run_scan, "apply_async", hear)
    return heard


@pytest.fixture
def scan(rung) -> Scan:
    scan = queued_scan({"m": b"w"})
    rung.clear()
    return scan


def lapse(scan: Scan) -> None:
    past = timezone.now() - timedelta(seconds=1)
    Scan.objects.filter(pk=scan.pk).update(lease_expires_at=past)


def test_of_many_claims_exactly_one_wins(scan):
    won = []

    def claim(n: int) -> None:
        lease = Scan.objects.claim(scan.pk, owner=f"w{n}", seconds=20)
        if lease:
            won.append(lease)
        connection.close()

    threads = [threading.Thread(target=claim, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert won[0].attempt == 1


def test_the_reaper_gives_a_lost_scan_back_and_rings(scan, rung):
    lease = Scan.objects.claim(scan.pk, owner="dead", seconds=20)
    tasks.reap()
    assert rung == []
    lapse(scan)
    tasks.reap()
    scan.refresh_from_db()
    assert (scan.scan_status, scan.attempt) == (ScanStatus.QUEUED, 1)
    # not behind all that wait for their first turn
    assert rung == [f"{scan.pk} scans-again"]
    assert not Scan.objects.renew(lease, seconds=20)


def test_a_third_lost_attempt_is_the_last(scan, rung):
    for _ in range(3):
        assert Scan.objects.claim(scan.pk, owner="dead", seconds=20)
        lapse(scan)
        tasks.reap()
    scan = Scan.objects.select_related("detail").get(pk=scan.pk)
    assert (scan.scan_status, scan.verdict) == ("failed", "inconclusive")
    assert scan.detail.reasons == ["3 attempts were lost with their workers"]
    assert len(rung) == 2


def test_a_scan_that_nobody_heard_of_is_rung_again(scan, rung, monkeypatch):
    monkeypatch.setattr(tasks, "waiting_messages", lambda: 0)
    tasks.reap()
    assert rung == []
    past = timezone.now() - timedelta(minutes=2)
    Scan.objects.filter(pk=scan.pk).update(rung_at=past)
    tasks.reap()
    tasks.reap()
    assert rung == [f"{scan.pk} scans"]


def test_a_long_queue_is_not_rung_again(scan, rung, monkeypatch):
    # Two scans wait, one bell is still in the broker: one has been lost.
    queued_scan({"m": b"w"})
    rung.clear()
    past = timezone.now() - timedelta(minutes=2)
    Scan.objects.update(rung_at=past)
    monkeypatch.setattr(tasks, "waiting_messages", lambda: 2)
    tasks.reap()
    assert rung == []
    monkeypatch.setattr(tasks, "waiting_messages", lambda: 1)
    tasks.reap()
    assert rung == [f"{scan.pk} scans"]


def test_it_counts_the_bells_that_nobody_has_heard():
    before = tasks.waiting_messages()
    tasks.announce(uuid.uuid4())
    tasks.announce(uuid.uuid4(), queue=tasks.QUEUE_AGAIN)
    assert tasks.waiting_messages() == before + 2
    current_app.control.purge()


def test_a_broker_that_is_away_costs_nothing(scan, monkeypatch, settings):
    def refuse(arguments: tuple[str], *, queue: str) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(tasks.run_scan, "apply_async", refuse)
    tasks.announce(scan.pk)
    scan.refresh_from_db()
    assert scan.scan_status == ScanStatus.QUEUED


def test_a_finished_attempt_cannot_be_finished_again(scan):
    lease = Scan.objects.claim(scan.pk, owner="me", seconds=20)
    assert Scan.objects.finish(lease, ScanStatus.COMPLETED, verdict="pass")
    assert not Scan.objects.finish(lease, ScanStatus.COMPLETED, verdict="fail")
    assert not Scan.objects.cancel(scan.pk)


@pytest.mark.parametrize("loss", ["cancelled", "taken", "deleted"])
def test_the_heartbeat_notices_that_the_scan_is_no_longer_ours(scan, loss):
    lease = Scan.objects.claim(scan.pk, owner="me", seconds=20)
    with Heartbeat(lease) as heartbeat:
        assert not heartbeat.stop.is_set()
        if loss == "cancelled":
            Scan.objects.cancel(scan.pk)
        elif loss == "taken":
            Scan.objects.filter(pk=scan.pk).update(attempt=2, lease_owner="other")
        else:
            Scan.objects.filter(pk=scan.pk).delete()
        assert heartbeat.stop.wait(60)


def test_the_heartbeat_keeps_the_lease_alive(scan, settings):
    settings.HEARTBEAT_SECONDS, settings.LEASE_SECONDS = 0.5, 600
    lease = Scan.objects.claim(scan.pk, owner="me", seconds=20)
    in_minutes = timezone.now() + timedelta(minutes=5)
    kept = Scan.objects.held(lease).filter(lease_expires_at__gt=in_minutes)
    with Heartbeat(lease) as heartbeat:
        eventually(kept.exists, 60, "it is renewed")
        assert not heartbeat.stop.is_set()


def test_a_leaving_worker_gives_its_scan_back_without_losing_an_attempt(scan, rung):
    lease = Scan.objects.claim(scan.pk, owner="host:7/abc", seconds=20)
    tasks.give_back("host:77")
    tasks.give_back("host")
    assert rung == []
    tasks.give_back("host:7")
    scan.refresh_from_db()
    assert (scan.scan_status, scan.attempt) == ("queued", 0)
    assert rung == [f"{scan.pk} scans-again"]
    again = Scan.objects.claim(scan.pk, owner="host:8/def", seconds=20)
    assert again.attempt == lease.attempt
    assert not Scan.objects.finish(lease, ScanStatus.COMPLETED, verdict="pass")
    assert Scan.objects.renew(again, seconds=20)
