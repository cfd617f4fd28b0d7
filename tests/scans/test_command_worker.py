"""`worker`, by the real command."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from scanners.sandbox import Rung
from scans.management.commands import worker
from scans.models import Scan, Worker
from scans.sandboxing import ChosenRung
from sentrascan_project.processes import descendants
from tests.project.running import Running, eventually
from tests.scans.builders import queued_scan

pytestmark = pytest.mark.slow
# Longer than anything here takes: a slow tool on a big file of noise.
NOISE_BYTES = 80 << 20


def living() -> set[int]:
    return set(descendants(1))


@pytest.fixture
def start(process_environment):
    started: list[Running] = []

    def run(*options: str) -> Running:
        command = ("manage.py", "worker", *options)
        started.append(Running(*command, env=process_environment))
        return started[-1]

    yield run
    for one in started:
        one.end()


@pytest.mark.usefixtures("tools")
def test_it_says_that_it_lives_and_what_it_can_do(start):
    running = start()
    eventually(Worker.objects.live().exists, 60, "its row is there")
    row = Worker.objects.get()
    assert row.name.endswith(f":{running.process.pid}")
    assert row.sandbox in list(Rung)

    def is_tried() -> bool:
        row.refresh_from_db()
        return bool(row.scanners)

    eventually(is_tried, 120, "its scanners are tried")
    assert row.scanners["modelaudit"]["status"] == "available"
    seen = row.seen_at

    def is_seen_again() -> bool:
        row.refresh_from_db()
        return row.seen_at > seen

    eventually(is_seen_again, 30, "it is seen again")
    assert running.end(signal.SIGTERM) == 0
    assert not Worker.objects.exists()


@pytest.mark.usefixtures("tools")
def test_it_takes_scans_from_the_queue(start):
    start()
    scan = queued_scan({"clean.bin": b"weights"})

    def is_finished() -> bool:
        scan.refresh_from_db()
        return scan.finished_at is not None

    eventually(is_finished, 120, "the scan is finished")
    assert scan.scan_status == "completed", scan.detail.reasons


@pytest.mark.usefixtures("tools")
def test_sigterm_gives_a_long_scan_back(start):
    running = start()
    scan = queued_scan({"noise.bin": os.urandom(NOISE_BYTES)})

    def is_scanning() -> bool:
        scan.refresh_from_db()
        return scan.progress_stage == "scan"

    eventually(is_scanning, 90, "the scan runs")
    started = time.monotonic()
    below = descendants(running.process.pid)
    assert running.end(signal.SIGTERM, seconds=20) == 0
    assert time.monotonic() - started < 15
    eventually(lambda: not set(below) & living(), 10, "pool and tool are gone")
    assert not Worker.objects.exists()
    scan.refresh_from_db()
    # Nobody judged it, and it has all its attempts left for the next worker.
    assert (scan.scan_status, scan.verdict, scan.attempt) == ("queued", None, 0)


def test_housekeeping_queues_the_scan_of_a_lost_worker_again(start):
    scan = queued_scan({"clean.bin": b"weights"})
    lease = Scan.objects.claim(scan.pk, owner="lost", seconds=0)
    assert lease
    running = start("--housekeeping")

    def is_queued() -> bool:
        scan.refresh_from_db()
        return scan.scan_status == "queued"

    eventually(is_queued, 60, "the reaper took it back")
    assert scan.attempt == 1
    assert not Worker.objects.exists()
    assert running.end(signal.SIGTERM) == 0
    lines = [json.loads(line) for line in running.lines if line.startswith("{")]
    assert any("lost attempt 1" in line["message"] for line in lines)


def test_it_refuses_to_start_where_nothing_isolates(monkeypatch):
    weak = ChosenRung(Rung.RLIMITS, is_required=True)
    monkeypatch.setattr(worker, "chosen_rung", lambda: weak)
    with pytest.raises(CommandError, match="SENTRASCAN_SANDBOX=best"):
        call_command("worker")
