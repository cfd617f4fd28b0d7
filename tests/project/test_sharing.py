"""Connections are shared evenly among the processes of the web server."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config  # type: ignore[import-untyped]  # it has no types

from sentrascan_project import sharing
from tests.project.running import environment, free_port

MINE, OTHER = 7, 8
CLIENTS = 8
APPLICATION = """
import os
def application(environ, start_response):
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
# So long that the other process has woken up, however busy the machine is.
PATIENT = """
from sentrascan_project import sharing
sharing.GIVE_WAY_SECONDS, sharing.MOST_STEPS = 60.0, 100_000
worker_class, workers, threads, keepalive = sharing.EvenWorker, 2, 2, 60
def post_worker_init(worker):
    print("ready", flush=True)
"""


@pytest.fixture(autouse=True)
def board(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = memoryview(bytearray(sharing.PLACES * 16)).cast("d")
    monkeypatch.setattr(sharing, "_board", fresh)


@pytest.fixture
def worker() -> sharing.EvenWorker:
    made = sharing.EvenWorker(MINE, 1, [], None, 30, Config(), SimpleNamespace())
    made._accepting = True
    made.enqueue_req = lambda _: None
    return made


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        with socket.create_connection(server.getsockname()):
            yield server


def test_one_with_more_leaves_a_connection_to_who_has_fewer(
    worker: Any, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    sharing.say(OTHER, 2)
    worker.nr_conns = 3
    taken = []

    def other_takes_it(_seconds: float) -> None:
        taken.append(listener.accept())
        sharing.say(OTHER, 3)

    monkeypatch.setattr(time, "sleep", other_takes_it)
    worker.accept(listener)
    assert len(taken) == 1
    assert worker.nr_conns == 3
    taken[0][0].close()


def test_what_nobody_took_it_takes_itself_the_later_the_more_it_has(
    worker: Any, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    sharing.say(OTHER, 1)
    worker.nr_conns = 3
    worker.accept(listener)
    assert worker.nr_conns == 4
    assert sum(slept) == pytest.approx(2 * sharing.GIVE_WAY_SECONDS)
    sharing.give_way(1000)
    assert len(slept) == 4 + sharing.MOST_STEPS


@pytest.mark.parametrize("others", [3, 9])
def test_one_that_has_no_more_than_others_takes_it_at_once(
    worker: Any, listener: socket.socket, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waited"))
    sharing.say(OTHER, others)
    worker.nr_conns = 3
    worker.accept(listener)
    assert worker.nr_conns == 4
    assert sharing.fewest() == min(others, 4)


def test_nobody_waits_for_the_dead_or_for_one_that_stops(
    worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now - sharing.SILENT_SECONDS - 1)
    sharing.say(OTHER, 0)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    sharing.say(MINE, 5)
    assert sharing.fewest() == 5
    worker.nr_conns, worker._accepting = 0, False
    worker.notify()
    assert sharing.fewest() == float("inf")
    worker.tmp.close()


def test_two_processes_get_four_each_of_eight_clients(tmp_path: Path) -> None:
    (tmp_path / "pids.py").write_text(APPLICATION)
    (tmp_path / "settings.py").write_text(PATIENT)
    port = free_port()
    words = ["--bind", f"127.0.0.1:{port}", "--config", str(tmp_path / "settings.py")]
    words += ["--pythonpath", str(tmp_path), "pids:application"]
    with subprocess.Popen(
        [sys.executable, "-m", "gunicorn", *words],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
    ) as server:
        assert server.stdout is not None
        assert [server.stdout.readline() for _ in range(2)] == [b"ready\n"] * 2
        clients = [
            http.client.HTTPConnection("127.0.0.1", port) for _ in range(CLIENTS)
        ]
        try:
            answered = Counter(pid_behind(client) for client in clients)
        finally:
            for client in clients:
                client.close()
            server.terminate()
    assert list(answered.values()) == [CLIENTS // 2] * 2


def pid_behind(client: http.client.HTTPConnection) -> bytes:
    client.request("GET", "/")
    return client.getresponse().read()
