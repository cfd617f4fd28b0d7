"""Connections are shared evenly among the processes of the web server."""

from __future__ import annotations

import http.client
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config  # type: ignore[import-untyped]  # it has no types

from sentrascan_project import sharing
from tests.project.running import environment, eventually
from tests.servers import free_port

MINE, OTHER = 7, 8
APPLICATION = """
import os
def application(environ, start_response):
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
# A process is ready once it has told the others of itself.
READY = """
from sentrascan_project import sharing
class Told(sharing.EvenWorker):
    is_known = False
    def notify(self):
        super().notify()
        if not self.is_known:
            self.is_known = True
            print("ready", flush=True)
worker_class, workers, threads, keepalive = Told, 2, 2, 60
"""
# All processes but the first start their work when a file is there.
LATE = (
    READY
    + """
import pathlib, time
def post_fork(server, worker):
    while worker.age > 1 and not pathlib.Path("{come}").exists():
        time.sleep(0.01)
"""
)
# So long that the other process has woken up, however busy the machine is.
PATIENT = (
    READY
    + """
sharing.GIVE_WAY_SECONDS, sharing.MOST_STEPS = 60.0, 100_000
sharing.SILENT_SECONDS = 60.0
"""
)


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
    assert sharing.fewest() == math.inf
    assert not sharing.has_clearly_more(100)
    worker.tmp.close()


@pytest.mark.parametrize(
    ("mine", "others", "is_more"),
    [
        *[(1, 0, False), (2, 0, True), (3, 2, False), (3, 1, True), (8, 6, False)],
        *[(9, 7, False), (10, 6, True), (80, 75, False), (80, 60, True)],
    ],
)
def test_more_is_clear_from_a_pair_on_and_an_eighth(
    mine: int, others: int, is_more: bool
) -> None:
    sharing.say(OTHER, others)
    sharing.say(MINE, mine)
    assert sharing.has_clearly_more(mine) is is_more


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Two processes that answer with their ids, by some settings of gunicorn."""
    (tmp_path / "pids.py").write_text(APPLICATION)
    started = []

    def start(settings: str) -> subprocess.Popen[str]:
        (tmp_path / "settings.py").write_text(settings)
        words = ["--config", str(tmp_path / "settings.py")]
        words += ["--pythonpath", str(tmp_path), "pids:application"]
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *words],
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        started.append(server)
        return server

    yield start
    for server in started:
        server.terminate()
        server.communicate(timeout=30)


@pytest.fixture
def clients() -> Iterator[list[http.client.HTTPConnection]]:
    made = [http.client.HTTPConnection("127.0.0.1", free_port())]
    made += [http.client.HTTPConnection("127.0.0.1", made[0].port) for _ in range(7)]
    yield made
    for client in made:
        client.close()


def test_two_processes_get_four_each_of_eight_clients(
    served: Any, clients: Any
) -> None:
    server = served(f"bind = '127.0.0.1:{clients[0].port}'\n" + PATIENT)
    until_ready(server, 2)
    assert list(shares(clients).values()) == [4, 4]


def test_a_process_that_comes_late_gets_its_share_of_kept_connections(
    served: Any, clients: Any, tmp_path: Path
) -> None:
    come = tmp_path / "come"
    server = served(f"bind = '127.0.0.1:{clients[0].port}'\n" + LATE.format(come=come))
    until_ready(server, 1)
    assert list(shares(clients).values()) == [8]
    come.touch()
    until_ready(server, 1)
    assert until_even(clients)
    # It is at rest then: no client is sent to and fro.
    kept = [client.sock for client in clients]
    for _ in range(20):
        shares(clients)
        time.sleep(sharing.PAUSE_SECONDS / 5)
    assert [client.sock for client in clients] == kept


def test_a_process_in_the_place_of_a_dead_one_gets_its_share(
    served: Any, clients: Any, tmp_path: Path
) -> None:
    bind = f"bind = '127.0.0.1:{clients[0].port}'\n"
    come = tmp_path / "come"
    come.touch()
    server = served(bind + LATE.format(come=come))
    until_ready(server, 2)
    first = until_even(clients)
    come.unlink()
    os.kill(int(next(iter(first))), signal.SIGKILL)
    assert list(shares(clients).values()) == [8]
    come.touch()
    until_ready(server, 1)
    assert set(until_even(clients)) != set(first)


def test_a_client_that_never_closes_keeps_nobody_waiting(
    served: Any, clients: Any
) -> None:
    """gunicorn's own loop waits for it, 2 s, and answers nobody before its end."""
    address = ("127.0.0.1", clients[0].port)
    alone = PATIENT + "workers, sharing.LINGER_SECONDS = 1, 60.0\n"
    until_ready(served(f"bind = '127.0.0.1:{address[1]}'\n" + alone), 1)
    pid_behind(clients[0])
    with socket.create_connection(address) as rude:
        rude.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert rude.makefile("rb").read().startswith(b"HTTP/1.1 200 ")
        for _ in range(3):
            rude.sendall(b"and more")
            pid_behind(clients[0])
        # Nothing has ended: what is sent to a closed connection is refused at once.
        time.sleep(0.1)
        rude.sendall(b"and more")


def test_a_client_that_never_closes_is_left(served: Any, clients: Any) -> None:
    address = ("127.0.0.1", clients[0].port)
    until_ready(served(f"bind = '127.0.0.1:{address[1]}'\n" + READY), 2)
    with socket.create_connection(address) as rude:
        rude.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert rude.makefile("rb").read().startswith(b"HTTP/1.1 200 ")
        eventually(lambda: is_refused(rude), 60, "its connection is closed")


def is_refused(client: socket.socket) -> bool:
    try:
        client.sendall(b"and more")
    except ConnectionError:
        return True
    return False


def until_ready(server: subprocess.Popen[str], processes: int) -> None:
    assert server.stdout is not None
    for _ in range(processes):
        assert server.stdout.readline() == "ready\n"


def until_even(clients: list[http.client.HTTPConnection]) -> Counter[bytes]:
    """Ask until two processes have half of the clients each."""
    deadline = time.monotonic() + 30
    while set((found := shares(clients)).values()) != {len(clients) // 2}:
        assert time.monotonic() < deadline, found
    return found


def shares(clients: list[http.client.HTTPConnection]) -> Counter[bytes]:
    return Counter(pid_behind(client) for client in clients)


def pid_behind(client: http.client.HTTPConnection) -> bytes:
    """Ask; again where the process has died."""
    try:
        client.request("GET", "/")
        return client.getresponse().read()
    except ConnectionError:
        client.close()
        client.request("GET", "/")
        return client.getresponse().read()
