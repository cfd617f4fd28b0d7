"""Identical scans at the same time: real worker processes, one of them killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from scanners.contract import ScanStopped
from scans import reuse
from scans.models import Lease, ResultClaim, Scan, ScannerRun
from tests.scans.builders import queued_scan

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.sqlite,
    pytest.mark.slow,
]
PROJECT = Path(__file__).resolve().parents[2]
type Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture(autouse=True)
def no_broker(monkeypatch):
    monkeypatch.setattr("scans.tasks.announce", lambda scan_id, **_: None)


@pytest.fixture
def worker(process_environment) -> Iterator[Start]:
    started = []

    def start(scan: Scan, seconds: float = 2) -> subprocess.Popen[bytes]:
        call = [sys.executable, "-m", "tests.scans.reuse_worker"]
        process = subprocess.Popen(
            [*call, str(scan.pk), str(seconds)], cwd=PROJECT, env=process_environment
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def wait_until(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def claim() -> tuple[Scan, Lease]:
    scan = queued_scan({"m": b"w"})
    lease = Scan.objects.claim(scan.pk, owner="me", seconds=20)
    assert lease is not None
    return scan, lease


def test_identical_scans_at_once_run_the_tool_once(worker):
    scans = [queued_scan({"m": b"w"}) for _ in range(3)]
    for process in [worker(scan) for scan in scans]:
        assert process.wait(180) == 0
    runs = ScannerRun.objects.filter(status="completed")
    assert runs.count() == 3
    looked = runs.get(reused_from=None)
    others = runs.exclude(pk=looked.pk).values_list("reused_from", flat=True)
    assert set(others) == {looked.scan_id}
    assert {scan.verdict for scan in Scan.objects.all()} == {"fail"}
    assert not ResultClaim.objects.exists()


def test_who_waits_for_a_killed_worker_looks_itself(worker):
    first, second = queued_scan({"m": b"w"}), queued_scan({"m": b"w"})
    # Long enough for another process to start on a busy machine.
    doomed = worker(first, seconds=20)
    wait_until(ResultClaim.objects.held().exists)
    waiting = worker(second, seconds=20)
    wait_until(
        lambda: Scan.objects.filter(pk=second.pk, progress_stage="scan").exists()
    )
    time.sleep(0.5)
    assert ResultClaim.objects.get().scan_id == first.pk
    doomed.send_signal(signal.SIGKILL)
    assert waiting.wait(180) == 0
    second.refresh_from_db()
    assert (second.scan_status, second.verdict) == ("completed", "fail")
    assert second.runs.get().reused_from is None
    assert not ScannerRun.objects.filter(scan=first).exists()


def test_who_waits_for_a_cancelled_scan_looks_itself(worker):
    first, second = queued_scan({"m": b"w"}), queued_scan({"m": b"w"})
    worker(first, seconds=400)  # until they are cancelled
    wait_until(ResultClaim.objects.held().exists)
    waiting = worker(second, seconds=400)
    wait_until(
        lambda: Scan.objects.filter(pk=second.pk, progress_stage="scan").exists()
    )
    assert Scan.objects.cancel(first.pk)
    wait_until(lambda: ResultClaim.objects.held().filter(scan=second).exists())
    assert Scan.objects.cancel(second.pk)
    assert waiting.wait(180) == 0


def test_of_many_that_claim_at_once_exactly_one_gets_it():
    leases = [claim()[1] for _ in range(6)]
    won: list[Lease] = []

    def take(lease: Lease) -> None:
        if ResultClaim.objects.take("cd" * 32, lease):
            won.append(lease)
        connection.close()

    # First for a free claim, then for one whose holder died.
    for _ in range(2):
        threads = [threading.Thread(target=take, args=(lease,)) for lease in leases]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert Scan.objects.cancel(won.pop().scan_id)
        leases = [lease for lease in leases if Scan.objects.held(lease).exists()]


def test_a_wait_ends_with_the_scan_and_with_half_of_its_time():
    _, holder = claim()
    _, waiting = claim()
    keys = {"s": "ab" * 32}
    stop = threading.Event()
    work = reuse._digest([keys["s"]])
    assert ResultClaim.objects.take(work, holder)
    started = time.monotonic()
    assert reuse._found_or_awaited(waiting, keys, stop, started + 0.5) == {}
    assert 0.4 < time.monotonic() - started < 60  # and not until it is stopped
    stop.set()
    with pytest.raises(ScanStopped):
        reuse._found_or_awaited(waiting, keys, stop, time.monotonic() + 60)


def test_a_holder_that_found_nothing_to_store_is_waited_for_once():
    _, holder = claim()
    _, waiting = claim()
    assert ResultClaim.objects.take(reuse._digest(["ab" * 32]), holder)

    def finish() -> None:
        time.sleep(0.5)
        ResultClaim.objects.all().delete()
        connection.close()

    thread = threading.Thread(target=finish)
    thread.start()
    until = time.monotonic() + 600
    assert (
        reuse._found_or_awaited(waiting, {"s": "ab" * 32}, threading.Event(), until)
        == {}
    )
    assert time.monotonic() < until - 300
    thread.join()


def test_a_deleted_scan_waits_for_nobody():
    scan, lease = claim()
    Scan.objects.filter(pk=scan.pk).delete()
    assert ResultClaim.objects.take("ab" * 32, lease)
    assert not ResultClaim.objects.exists()
