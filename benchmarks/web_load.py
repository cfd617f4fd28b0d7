"""Web servers under load: gunicorn with an application, and a client for it.

The client is one process with one loop over plain sockets that are kept open. It spends
some 40 us on an answer of 25 KB: next to servers that need 500 us and more it is no
bottleneck, and each figure says which share of a processor it took.

What the servers took of the processors is counted too: on a machine that others use,
requests per second say as much about the others.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from benchmarks.installation import PROJECT, free_port

WORKERS, THREADS = 2, 4
START_SECONDS = 60
# As PostgreSQL names the processes of benchmarks.rows' databases.
BACKEND = b"postgres: postgres bench_"
HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Load:
    """What one bout of load gave."""

    seconds: float
    latencies: list[float]
    client_share: float
    server_seconds: float

    @property
    def cost(self) -> float:
        """Return the processor milliseconds of web server and database per answer."""
        return self.server_seconds / len(self.latencies) * 1000

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, which: int) -> float:
        """Return the latency in milliseconds that `which` percent stay below."""
        return quantiles(self.latencies, n=100)[which - 1] * 1000


@contextmanager
def served(
    application: str, environment: Mapping[str, str], *options: str
) -> Iterator[int]:
    """Serve a WSGI application with 2 workers of 4 threads; the port.

    With the product's class of workers, whatever the application: two that share
    connections unevenly tell of their luck.
    """
    port = free_port()
    words = ["--bind", f"127.0.0.1:{port}", "--worker-class"]
    words += ["sentrascan_project.sharing.EvenWorker"]
    words += ["--workers", str(WORKERS), "--threads", str(THREADS), *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", *words, application],
        cwd=PROJECT,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_open(process, port)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _wait_until_open(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"gunicorn did not open port {port}")


def load(
    port: int, key: str, paths: Sequence[str], connections: int, seconds: float
) -> Load:
    """Ask for `paths` in turn over so many connections, as fast as answers come."""
    requests = [request_for(path, key) for path in paths]
    latencies: list[float] = []
    with selectors.DefaultSelector() as selector:
        clients = [_Client(port, requests, number) for number in range(connections)]
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)
        began, worked = time.perf_counter(), time.process_time()
        spent = spent_by(port)
        for client in clients:
            client.ask(time.perf_counter())
        while (now := time.perf_counter()) < began + seconds:
            for ready, _ in selector.select(timeout=1):
                if (took := ready.data.read()) is not None:
                    latencies.append(took)
                    _ask_again(ready.data, selector)
        share = (time.process_time() - worked) / (now - began)
        spent = spent_by(port) - spent
        for client in clients:
            client.socket.close()
    return Load(now - began, latencies, share, spent)


def _ask_again(client: _Client, selector: selectors.BaseSelector) -> None:
    """Ask, over a new connection where the server let the last one go."""
    begins = time.perf_counter()
    if client.is_let_go:
        selector.unregister(client.socket)
        client.socket.close()
        client.connect()
        selector.register(client.socket, selectors.EVENT_READ, client)
    client.ask(begins)


def spent_by(port: int) -> float:
    """Return the processor seconds that the server of `port` and its database took."""
    ours = f"--bind\x00127.0.0.1:{port}\x00".encode()
    total = 0.0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes()
            if ours in words or words.startswith(BACKEND):
                # After the name, which may hold anything: utime and stime (proc(5)).
                fields = (process / "stat").read_bytes().rpartition(b") ")[2].split()
                total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def request_for(path: str, key: str) -> bytes:
    head = [f"GET {path} HTTP/1.1", "Host: localhost", f"X-API-Key: {key}"]
    return "\r\n".join([*head, "Accept: application/json", "", ""]).encode()


def answer_to(port: int, key: str, path: str) -> tuple[Mapping[str, str], bytes]:
    """Return the headers and the body of one good answer."""
    client = _Client(port, [request_for(path, key)], 0)
    client.ask(time.perf_counter())
    while client.read() is None:
        pass
    client.socket.close()
    lines = client.head.decode("latin-1").split("\r\n")[1:]
    pairs = (line.partition(": ") for line in lines)
    return {name.lower(): value for name, _, value in pairs}, client.body


class _Client:
    """One connection with one request on its way."""

    def __init__(self, port: int, requests: Sequence[bytes], number: int) -> None:
        self._port = port
        self.head = self.body = b""
        self._requests = requests
        self._next = number
        self._buffer = bytearray()
        self.connect()

    def connect(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self._port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def is_let_go(self) -> bool:
        """Whether the answer was the last of its connection."""
        return b"\r\nconnection: close" in self.head.lower()

    def ask(self, begins: float) -> None:
        """Send the next request, whose time runs since `begins`."""
        self._buffer.clear()
        self._awaited = 0
        self._asked = begins
        self.socket.sendall(self._requests[self._next % len(self._requests)])
        self._next += 1

    def read(self) -> float | None:
        """Take what has come; return the seconds that a whole answer took."""
        chunk = self.socket.recv(1 << 18)
        if not chunk:
            raise RuntimeError("the server closed a connection")
        self._buffer += chunk
        if not self._awaited:
            end = self._buffer.find(HEAD_END)
            if end < 0:
                return None
            self.head = bytes(self._buffer[:end])
            self._awaited = end + len(HEAD_END) + _length(self.head)
        if len(self._buffer) < self._awaited:
            return None
        self.body = bytes(self._buffer[len(self.head) + len(HEAD_END) :])
        return time.perf_counter() - self._asked


def _length(head: bytes) -> int:
    if not head.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(head.decode("latin-1"))
    _, _, rest = head.lower().partition(b"\r\ncontent-length: ")
    return int(rest.partition(b"\r\n")[0])
