"""`make run`, for real: the supervisor, its children, the real scanners."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sentrascan_project.processes import descendants
from tests.project.running import Running, environment, eventually
from tests.servers import free_port

LOCAL = ("-m", "sentrascan_project.local")
KEY = re.compile(r"ssk_[0-9A-Za-z]{8}_[0-9A-Za-z]{38}")
READY = r"Press Ctrl-C to stop"
# What CONTRACT promises, and what a busy machine adds.
STOP_SECONDS = 10 + 5

pytestmark = pytest.mark.slow


class Installation:
    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/api/v1"
        self.started: list[Running] = []

    def run(self, **more: str) -> Running:
        env = environment(self.data, SENTRASCAN_PORT=str(self.port), **more)
        running = Running(*LOCAL, env=env)
        self.started.append(running)
        return running

    def is_healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def log(self, name: str) -> str:
        return (self.data / "log" / f"{name}.log").read_text(errors="replace")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path / "data")
    yield installation
    for running in installation.started:
        running.end(signal.SIGTERM)


def left(pids: list[int]) -> list[str]:
    """Return the command lines of those that still live."""
    found = []
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
            if stat.rpartition(")")[2].split()[0] not in "ZX":
                command = Path(f"/proc/{pid}/cmdline").read_text()
                found.append(f"{pid} {command}")
        except OSError:
            continue
    return found


def child_of(running: Running, *words: str) -> int:
    """Return the process that the supervisor itself started with these words."""
    for pid in descendants(running.process.pid):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        is_ours = int(parent[1]) == running.process.pid
        if is_ours and all(any(word in part for part in command) for word in words):
            return pid
    raise AssertionError(f"no child with {words}")


def test_it_greets_scans_two_samples_and_leaves_nothing_on_ctrl_c(
    here: Installation,
) -> None:
    first = here.run()
    first.wait_for(READY, seconds=240)
    assert here.url.removesuffix("/api/v1") in first.text
    key = KEY.search(first.text)
    password = re.search(r"user admin +password (\S+)", first.text)
    assert key is not None
    assert password is not None
    assert re.search(r"clean-classifier\.safetensors +.*pass", first.text)
    assert re.search(r"malicious-classifier\.pkl +.*fail", first.text)
    scans = httpx.get(f"{here.url}/scans", headers={"X-API-Key": key[0]}).json()
    assert sorted(scan["verdict"] for scan in scans) == ["fail", "pass"]
    below = descendants(first.process.pid)
    assert len(below) >= 6  # web and its two, worker and its two, housekeeping
    started = time.monotonic()
    assert first.end(signal.SIGINT) == 0
    assert time.monotonic() - started < STOP_SECONDS
    assert first.lines[-1] == "Stopped."
    assert left(below) == []
    # Now that nobody makes and removes files there.
    kept = b"".join(p.read_bytes() for p in here.data.rglob("*") if p.is_file())
    assert key[0].encode() not in kept
    assert password[1].encode() not in kept

    second = here.run()
    second.wait_for(READY, seconds=120)
    assert not KEY.search(second.text)
    assert "password" not in second.text
    assert "sample" not in second.text
    below = descendants(second.process.pid)
    assert second.end(signal.SIGTERM) == 0
    assert left(below) == []


def test_it_starts_a_killed_child_again(here: Installation) -> None:
    running = here.run(SENTRASCAN_SAMPLES="0")
    running.wait_for(READY, seconds=120)
    for name, words in (
        ("web", ("gunicorn",)),
        ("worker", ("manage.py", "worker")),
        ("housekeeping", ("manage.py", "--housekeeping")),
    ):
        eventually(
            lambda words=words: child_of_or_none(running, words), 30, f"{name} runs"
        )
        killed = child_of(running, *words)
        os.kill(killed, signal.SIGKILL)
        running.wait_for(rf"{name} ended \(signal 9\); starting it again")
        eventually(
            lambda words=words, killed=killed: (
                child_of_or_none(running, words) not in (None, killed)
            ),
            30,
            f"{name} is there again",
        )
    eventually(here.is_healthy, 60, "health")


def child_of_or_none(running: Running, words: tuple[str, ...]) -> int | None:
    try:
        return child_of(running, *words)
    except AssertionError:
        return None


def test_nothing_is_left_of_a_killed_supervisor(here: Installation) -> None:
    running = here.run(SENTRASCAN_SAMPLES="0")
    running.wait_for(READY, seconds=120)

    def below() -> list[int]:
        return descendants(running.process.pid)

    # The web server may answer before the worker has forked.
    eventually(lambda: len(below()) >= 6, 60, "all are there")
    started = below()
    assert running.end(signal.SIGKILL) == -signal.SIGKILL
    eventually(lambda: not left(started), 30, "everything ended")


def test_a_running_scan_ends_with_it(here: Installation, tmp_path: Path) -> None:
    running = here.run(SENTRASCAN_SAMPLES="0")
    running.wait_for(READY, seconds=120)
    key = KEY.search(running.text)
    assert key is not None
    slow = tmp_path / "slow.bin"
    slow.write_bytes(os.urandom(80 << 20))  # half a minute of searching
    headers = {"X-API-Key": key[0]}
    with slow.open("rb") as file:
        answer = httpx.post(
            f"{here.url}/scans",
            headers=headers,
            data={"scan_type": "model"},
            files={"file": file},
            timeout=60,
        )
    assert answer.status_code == 202, answer.text
    scan = f"{here.url}/scans/{answer.json()['scan_id']}"

    def is_scanning() -> bool:
        progress = httpx.get(scan, headers=headers).json()["progress"]
        return bool(progress["stage"] == "scan")

    eventually(is_scanning, 60, "the scan runs")
    eventually(lambda: has_tool(running), 30, "its tool runs")
    below = descendants(running.process.pid)
    started = time.monotonic()
    assert running.end(signal.SIGTERM) == 0
    assert time.monotonic() - started < STOP_SECONDS
    assert left(below) == []


def has_tool(running: Running) -> bool:
    for pid in descendants(running.process.pid):
        try:
            if "modelaudit" in Path(f"/proc/{pid}/cmdline").read_text():
                return True
        except OSError:
            continue
    return False


def test_a_second_run_beside_the_first_gets_one_line(here: Installation) -> None:
    first = here.run(SENTRASCAN_SAMPLES="0")
    first.wait_for(READY, seconds=120)
    second = here.run()
    assert second.process.wait(timeout=60) == 1
    second.wait_for("already running here")
    assert len(second.lines) == 1
    assert here.is_healthy()


def test_a_taken_port_gets_one_line(here: Installation) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        here.port = other.getsockname()[1]
        running = here.run()
        assert running.process.wait(timeout=60) == 1
        running.wait_for(f"Port {here.port} is taken")
        assert len(running.lines) == 1


def test_a_database_that_does_not_answer_gets_one_line(here: Installation) -> None:
    url = f"postgres://nobody@127.0.0.1:{free_port()}/nothing"
    running = here.run(DATABASE_URL=url)
    assert running.process.wait(timeout=60) == 1
    running.wait_for("The database \\(PostgreSQL\\) refuses")
    assert len(running.lines) == 1


def test_it_gives_up_on_a_child_that_never_starts(here: Installation) -> None:
    running = here.run(
        SENTRASCAN_SAMPLES="0", GUNICORN_CMD_ARGS="--worker-class nonsense"
    )
    assert running.process.wait(timeout=120) == 1
    running.wait_for("web ended .*starting it again")
    running.wait_for("nonsense")
    running.wait_for("SentraScan does not start")
