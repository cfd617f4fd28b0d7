"""The process beside a worker, and that the worker itself has no threads."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from scans.management.presence import EVERY_SECONDS
from scans.models import Worker
from sentrascan_project.processes import descendants
from tests.project.running import Running, eventually
from tests.scans.builders import queued_scan

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]


@pytest.fixture
def worker(process_environment, settings):
    settings.DATA_DIR.mkdir(exist_ok=True)
    running = Running("manage.py", "worker", env=process_environment)
    yield running
    running.end(signal.SIGKILL)


def words(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def companions(running: Running) -> list[int]:
    below = descendants(running.process.pid)
    return [pid for pid in below if "--beside" in words(pid)]


def pool(running: Running) -> list[int]:
    """Return its forks: they have its own command line."""
    own = words(running.process.pid)
    return [pid for pid in descendants(running.process.pid) if words(pid) == own]


def threads(running: Running) -> int:
    return len(list(Path(f"/proc/{running.process.pid}/task").iterdir()))


def is_finished(scan) -> bool:
    scan.refresh_from_db()
    return scan.finished_at is not None


@pytest.mark.usefixtures("tools")
def test_a_worker_forks_its_pool_anew_without_a_thread_beside(worker: Running) -> None:
    eventually(Worker.objects.live().exists, 60, "its row is there")
    first, seen = set(pool(worker)), set()
    assert len(first) == 2
    for _ in range(3):
        for pid in pool(worker):
            os.kill(pid, signal.SIGKILL)
        gone = set(pool(worker))
        ends_at = time.monotonic() + 20
        while not (set(pool(worker)) - gone) and time.monotonic() < ends_at:
            seen.add(threads(worker))
            time.sleep(0.02)
        seen.add(threads(worker))
    assert seen == {1}
    assert not first & set(pool(worker))
    scan = queued_scan({"clean.bin": b"weights"})
    eventually(lambda: is_finished(scan), 120, "the scan is finished")
    assert scan.scan_status == "completed", scan.detail.reasons


def test_its_companion_comes_again_when_it_dies(worker: Running) -> None:
    eventually(Worker.objects.live().exists, 60, "its row is there")
    (first,) = companions(worker)
    os.kill(first, signal.SIGKILL)
    eventually(lambda: companions(worker) not in ([], [first]), 60, "another is there")
    Worker.objects.all().delete()
    eventually(Worker.objects.live().exists, 60, "its row is there again")
    assert len(companions(worker)) == 1
    assert worker.process.poll() is None
    worker.wait_for("The process beside worker .* ended")


def test_its_companion_leaves_when_the_worker_is_killed(worker: Running) -> None:
    eventually(Worker.objects.live().exists, 60, "its row is there")
    (companion,) = companions(worker)
    worker.process.kill()
    eventually(lambda: not words(companion), 60, "it is gone")


def test_nobody_says_that_a_stopped_worker_lives(worker: Running) -> None:
    eventually(Worker.objects.live().exists, 60, "its row is there")
    worker.process.send_signal(signal.SIGSTOP)
    worker.wait_for("Worker .* does not move")
    Worker.objects.all().delete()
    time.sleep(EVERY_SECONDS + 2)  # it would be written in that time
    assert not Worker.objects.exists()
    worker.process.send_signal(signal.SIGCONT)
    eventually(Worker.objects.live().exists, 60, "it lives again")
    assert len(companions(worker)) == 1


def test_they_leave_together(worker: Running) -> None:
    eventually(Worker.objects.live().exists, 60, "its row is there")
    (companion,) = companions(worker)
    started = time.monotonic()
    assert worker.end(signal.SIGTERM) == 0
    assert time.monotonic() - started < 30
    assert not words(companion)
    assert not Worker.objects.exists()
    assert "ended (" not in worker.text
