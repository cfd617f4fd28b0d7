"""A proxy of a started server, and a client and a far server to try it with."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from scanners.addresses import Allowed
from scanners.proxy import Bounds, Proxy
from scanners.urls import Rules

TOKEN = "a" * 32
HELLO = b"\x16\x03\x01\x00\x05\x01"  # what every tunnel must begin with
FAR = Allowed(names=("far.example",))
NAMES = {
    "far.example": ["127.0.0.1"],
    "db": ["10.0.0.2"],
    "rebind.example": ["8.8.8.8", "127.0.0.1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "metadata.example": ["169.254.169.254"],
}


def resolved(host: str, port: int) -> list[str]:
    if host not in NAMES:
        raise OSError("no such name")
    return NAMES[host]


def rules(allowed: Allowed = FAR, *, http: bool = False) -> Rules:
    return Rules(
        allowed=allowed,
        is_http_allowed=http,
        resolver=resolved,
        connect_seconds=2,
    )


def proxy_of(
    rules: Rules, bounds: Bounds | None = None, token: str = TOKEN, **marks: str
) -> Proxy:
    named = {mark.encode(): name for name, mark in marks.items()}
    return Proxy(rules, token=token, marks=named, is_outside=False, bounds=bounds)


def asked(proxy: Proxy, *lines: str, token: str = TOKEN, body: bytes = b"") -> str:
    """Send one request and return all that comes back."""
    with connected(proxy) as client:
        client.sendall(request(*lines, token=token) + body)
        return everything(client).decode("latin-1")


def proxy_threads() -> list[str]:
    """What still serves, of every proxy of this process."""
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name == "proxy"]


def connected(proxy: Proxy) -> socket.socket:
    # generous: only a fault waits so long, and so does a busy machine
    return socket.create_connection(("127.0.0.1", proxy.port), 60)


def request(*lines: str, token: str = TOKEN) -> bytes:
    known = base64.b64encode(f"sentrascan:{token}".encode()).decode()
    head = [*lines, f"Proxy-Authorization: Basic {known}", "Host: x", "", ""]
    return "\r\n".join(head).encode()


def everything(client: socket.socket) -> bytes:
    found = b""
    try:
        while piece := client.recv(65536):
            found += piece
    except ConnectionError:
        pass
    return found


def tunnel(proxy: Proxy, place: str) -> socket.socket:
    client = connected(proxy)
    client.sendall(request(f"CONNECT {place} HTTP/1.1"))
    assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
    return client


@contextmanager
def echoing() -> Iterator[socket.socket]:
    """A server that says back all it hears."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    other, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=say_back, args=(other,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listener
        listener.shutdown(socket.SHUT_RDWR)


def say_back(other: socket.socket) -> None:
    with other:
        try:
            while piece := other.recv(65536):
                other.sendall(piece)
        except OSError:
            return


def port_of(server: socket.socket) -> int:
    port: int = server.getsockname()[1]
    return port
