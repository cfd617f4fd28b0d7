"""Servers of this machine that play the rest of the world, well-behaved or not."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import trustme

type Reply = Iterable[bytes]


@dataclass
class Asked:
    """One request as it arrived; header names are in lower case."""

    target: str
    headers: dict[str, str]
    server_name: str = ""


@dataclass
class FarServer:
    port: int
    scheme: str
    asked: list[Asked] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/", host: str = "localhost") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"


def answer(
    body: bytes = b"", status: str = "200 OK", length: int | None = None, **headers: str
) -> list[bytes]:
    """Return an answer; `length` lies about the body's, -1 says nothing of it."""
    said = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", "Connection: close"]
    if said >= 0:
        lines.append(f"Content-Length: {said}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ["\r\n".join([*lines, "", ""]).encode() + body]


def moved(location: str, status: str = "302 Found") -> list[bytes]:
    return answer(status=status, Location=location)


@contextmanager
def far_server(
    reply: Callable[[Asked], Reply], ca: trustme.CA | None = None, *names: str
) -> Iterator[FarServer]:
    """Serve on a free port of 127.0.0.1; with `ca` over TLS, certified for `names`."""
    context = None
    if ca is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        ca.issue_cert(*(names or ("localhost", "127.0.0.1"))).configure_cert(context)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = FarServer(port, "https" if context else "http")

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(
                target=_serve, args=(connection, context, reply, server), daemon=True
            ).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server
    finally:
        server.closed.set()
        # Closing alone would leave the thread in accept().
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _serve(
    connection: socket.socket,
    context: ssl.SSLContext | None,
    reply: Callable[[Asked], Reply],
    server: FarServer,
) -> None:
    names: list[str] = []
    try:
        with connection:
            connection.settimeout(30)
            if context is not None:
                context.sni_callback = lambda _s, name, _c: names.append(name or "")
                connection = context.wrap_socket(connection, server_side=True)
            asked = _read(connection, names)
            server.asked.append(asked)
            for piece in reply(asked):
                if server.closed.is_set():
                    return
                connection.sendall(piece)
            connection.close()
    except OSError:
        return  # the client went away, which is what many tests want


def _read(connection: socket.socket, names: list[str]) -> Asked:
    head = b""
    while b"\r\n\r\n" not in head:
        received = connection.recv(65536)
        if not received:
            raise OSError("nothing was asked")
        head += received
    first, *lines = head.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Asked(
        first.split(" ")[1],
        {name.lower(): value for name, value in headers.items()},
        names[-1] if names else "",
    )
