"""A forward proxy for one started server: its only way to a network.

The server knows nothing but this proxy's port. Each connection that it asks for is made
here, by the rules of `egress`: the name is resolved once, every answer is checked, and
the connection goes to a checked address. A tunnel (CONNECT) must begin as TLS does, and
nothing is heard from the other side before that, so that databases and mail servers are
not simply spoken to through it; plain `http://` is forwarded where the operator allows
it.

Of our own, because the libraries that serve as a proxy resolve and connect by
themselves, run their own processes and keep their configuration for the whole process.
What is read of HTTP, `h11` reads; the connections are `CheckedNetwork`'s.
"""

from __future__ import annotations

import base64
import hmac
import re
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import NoReturn, Self

import h11
import httpcore

from scanners.addresses import is_public
from scanners.attending import SLICE_SECONDS, Attendants
from scanners.pinning import CheckedNetwork, EgressError, Pace
from scanners.relay import CHUNK, Marks, Relay
from scanners.urls import BadAddress, Rules, Url, read_url

INNER_PORT = 3128  # in a network that holds nothing else
MAX_NOTED = 32
# A record of TLS with the beginning of a ClientHello: RFC 8446, 5.1 and 4. Whoever
# speaks TLS sends it in one piece.
_CLIENT_HELLO = re.compile(rb"\x16\x03[\x00-\x04]..\x01", re.DOTALL)
_AUTHORITY = re.compile(rb"[A-Za-z0-9._:%\[\]-]{1,300}:[0-9]{1,5}")
_NOT_FORWARDED = frozenset(
    {b"connection", b"host", b"keep-alive", b"proxy-authorization", b"te", b"upgrade"}
    | {b"proxy-connection"}
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one server may ask of its proxy. Bytes are counted in both directions."""

    connections: int = 256
    at_once: int = 16
    total_bytes: int = 64 << 20
    head_bytes: int = 16 << 10
    head_seconds: float = 10
    idle_seconds: float = 15


@dataclass(slots=True)
class Traffic:
    """What was asked for: `host:port`, as the server wrote it."""

    contacted: list[str] = field(default_factory=list)
    inner: list[str] = field(default_factory=list)  # refused: plainly not the internet
    refused: list[str] = field(default_factory=list)  # for any other reason
    marks: set[str] = field(default_factory=set)  # what was on its way out
    excess: str = ""

    def note(self, found: list[str], place: str) -> None:
        if place not in found and len(found) < MAX_NOTED:
            found.append(place)


class _Over(Exception):
    """This connection ends, for a reason that is noted or needs no words."""


class _Refused(Exception):
    """The answer to a request that is not carried out."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class Proxy:
    """Serves from `with` on to its end; nothing of it is left then.

    `marks` are texts that must not get out, and how they are called. `is_outside`: the
    port is not ours but lies in a network of the sandbox, which hands over its listener
    through `door`.
    """

    def __init__(
        self,
        rules: Rules,
        *,
        token: str,
        marks: Mapping[bytes, str],
        is_outside: bool,
        bounds: Bounds | None = None,
    ) -> None:
        self.traffic = Traffic()
        self.port = INNER_PORT
        self.door = 0
        self._rules = rules
        self._token = token
        self._marks = Marks(marks)
        self._bounds = bounds or Bounds()
        self._left = self._bounds.total_bytes
        self._count = 0
        self._attendants = Attendants("proxy")
        self._lock = self._attendants.lock
        self._listener: socket.socket | None = None
        self._doors: tuple[socket.socket, ...] = ()
        if is_outside:
            self._doors = socket.socketpair()
            self.door = self._doors[1].fileno()
        else:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.port = self._listener.getsockname()[1]

    @property
    def environment(self) -> dict[str, str]:
        """What tells a program of this proxy. The token keeps strangers out."""
        address = f"http://sentrascan:{self._token}@127.0.0.1:{self.port}"
        names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
        unset = dict.fromkeys(("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"), "")
        return {**unset, **dict.fromkeys(names, address), "NODE_USE_ENV_PROXY": "1"}

    def __enter__(self) -> Self:
        self._attendants.start(self._serve)
        return self

    def __exit__(self, *_: object) -> None:
        self._attendants.end()
        for door in self._doors:
            door.close()

    def _step(self) -> None:
        if self._attendants.is_over or self._left < 0:
            raise _Over

    def _serve(self) -> None:
        listener = self._listener or self._handed_over()
        if listener is None:
            return
        with listener:
            listener.settimeout(SLICE_SECONDS)
            while not self._attendants.is_over:
                try:
                    client, _ = listener.accept()
                except TimeoutError:
                    continue
                except OSError:
                    return
                if self._is_one_too_many():
                    client.close()
                    continue
                self._attendants.hold(client)
                self._attendants.start(self._attend, client)

    def _handed_over(self) -> socket.socket | None:
        """Take the listener that the sandbox made in its own network."""
        door = self._doors[0]
        door.settimeout(SLICE_SECONDS)
        while not self._attendants.is_over:
            try:
                _, numbers, _, _ = socket.recv_fds(door, 1, 1, socket.MSG_CMSG_CLOEXEC)
            except TimeoutError:
                continue
            except OSError:
                return None
            return socket.socket(fileno=numbers[0]) if numbers else None
        return None

    def _is_one_too_many(self) -> bool:
        self._count += 1
        at_once = self._attendants.held
        if self._count > self._bounds.connections or at_once >= self._bounds.at_once:
            self.traffic.excess = self.traffic.excess or "connections"
            return True
        return False

    def _attend(self, client: socket.socket) -> None:
        try:
            with client:
                client.settimeout(self._bounds.idle_seconds)
                try:
                    self._answer(client)
                except _Refused as refusal:
                    lines = f"HTTP/1.1 {refusal.status}", "Connection: close"
                    head = "\r\n".join([*lines, "Content-Length: 0", "", ""])
                    client.sendall(head.encode())
        except (_Over, OSError):
            pass  # whoever broke off knows
        finally:
            self._attendants.let_go(client)

    def _answer(self, client: socket.socket) -> None:
        request, rest = self._request(client)
        self._check_token(request)
        self._watch(b" " + request.target)
        is_tunnel = request.method == b"CONNECT"
        url = self._url(request, is_tunnel)
        far = self._connection(url)
        with far, self._attendants.holding(far):
            self._step()
            if is_tunnel:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                rest = _head(request, url) + rest
            relay = Relay(
                client,
                far,
                spend=self._spend,
                watch=self._watch,
                overlap=self._marks.longest,
                idle_seconds=self._bounds.idle_seconds,
            )
            relay.carry(rest, self._tls_only(url) if is_tunnel else None)

    def _request(self, client: socket.socket) -> tuple[h11.Request, bytes]:
        """Return what is asked for, and the bytes that came after it."""
        reader = h11.Connection(h11.SERVER, self._bounds.head_bytes)
        until = time.monotonic() + self._bounds.head_seconds
        client.settimeout(SLICE_SECONDS)
        while True:
            self._step()
            try:
                event = reader.next_event()
                if isinstance(event, h11.Request):
                    client.settimeout(self._bounds.idle_seconds)
                    return event, bytes(reader.trailing_data[0])
                if time.monotonic() > until or event is not h11.NEED_DATA:
                    raise _Refused("408 Request Timeout")
                reader.receive_data(client.recv(CHUNK))
            except TimeoutError:
                continue
            except h11.RemoteProtocolError as error:
                raise _Refused("400 Bad Request") from error

    def _check_token(self, request: h11.Request) -> None:
        wanted = base64.b64encode(f"sentrascan:{self._token}".encode())
        given = dict(request.headers).get(b"proxy-authorization", b"")
        kind, _, credentials = given.partition(b" ")
        is_basic = kind.lower() == b"basic"
        if not is_basic or not hmac.compare_digest(credentials.strip(), wanted):
            raise _Refused("407 Proxy Authentication Required")

    def _url(self, request: h11.Request, is_tunnel: bool) -> Url:
        asked = request.target.decode("latin-1")
        if is_tunnel and not _AUTHORITY.fullmatch(request.target):
            raise _Refused("400 Bad Request")
        if not is_tunnel and not asked.lower().startswith("http://"):
            raise _Refused("400 Bad Request")
        try:
            return read_url(
                f"https://{asked}/" if is_tunnel else asked, self._rules, longest=8000
            )
        except BadAddress as error:
            self._refuse(asked if is_tunnel else _authority(asked), error)

    def _connection(self, url: Url) -> socket.socket:
        place = f"{url.host}:{url.port}"
        pace = Pace(self._rules, self._step)
        pace.await_answer(url.host)
        try:
            stream = CheckedNetwork(self._rules, pace).connect_tcp(
                url.host, url.port, self._rules.connect_seconds
            )
        except EgressError as error:
            self._refuse(place, error)
        except (httpcore.NetworkError, httpcore.TimeoutException) as error:
            self._note(self.traffic.contacted, place)
            raise _Refused("502 Bad Gateway") from error
        self._note(self.traffic.contacted, place)
        found: socket.socket = stream.get_extra_info("socket")
        found.settimeout(self._bounds.idle_seconds)
        return found

    def _refuse(self, place: str, why: Exception) -> NoReturn:
        inner = is_inner(place.rpartition(":")[0] or place)
        traffic = self.traffic
        self._note(traffic.inner if inner else traffic.refused, place)
        raise _Refused("403 Forbidden") from why

    def _note(self, found: list[str], place: str) -> None:
        with self._lock:
            self.traffic.note(found, place)

    def _tls_only(self, url: Url) -> Callable[[bytes], None]:
        def check(begin: bytes) -> None:
            if not _CLIENT_HELLO.match(begin):
                self._note(self.traffic.refused, f"{url.host}:{url.port} without TLS")
                raise _Over

        return check

    def _watch(self, text: bytes) -> None:
        if found := self._marks.names_in(text):
            with self._lock:
                self.traffic.marks |= found

    def _spend(self, size: int) -> None:
        with self._lock:
            self._left -= size
            if self._left < 0:
                self.traffic.excess = "bytes"
        self._step()


def is_inner(host: str) -> bool:
    """Whether `host` plainly is no place of the internet, in whatever spelling."""
    name = host.lower().strip("[]").rstrip(".").partition("%")[0]
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name)
    except ValueError:
        try:
            # what the C library reads as a number: 127.1, 0x7f.1, 2130706433
            address = ip_address(socket.inet_aton(name))
        except OSError:
            return False
    return not is_public(address)


def _authority(address: str) -> str:
    """Return host and port of an absolute URL that may be anything."""
    place = address.partition("://")[2]
    place = re.split(r"[/?#\\]", place, maxsplit=1)[0].rpartition("@")[2]
    has_port = re.search(r":[0-9]+$", place)
    return place if has_port else f"{place}:80"


def _head(request: h11.Request, url: Url) -> bytes:
    """Return the request as its own server is to see it."""
    lines = [b"%s %s HTTP/1.1" % (request.method, url.target.encode())]
    lines += [b"Host: " + url.authority.encode(), b"Connection: close"]
    lines += [
        b"%s: %s" % (name, value)
        for name, value in request.headers
        if name not in _NOT_FORWARDED
    ]
    return b"\r\n".join([*lines, b"", b""])
