"""URLs that may be asked for, taken apart once, and the rules of asking.

One parser for the check and for the connection: two would disagree somewhere.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from scanners.addresses import Allowed, literal, normal_host

MAX_URL = 2000
PRINTABLE = re.compile(r"[\x21-\x5b\x5d-\x7e]+")  # no blanks, no backslash
PORTS = {"https": 443, "http": 80}


class BadAddress(ValueError):
    """The text is no URL that may be fetched; the message is for people."""


def system_resolver(host: str, port: int) -> list[str]:
    """Return the addresses of a name, as the system knows them; raise `OSError`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be contacted, and how long it may take. Times in seconds."""

    allowed: Allowed = field(default_factory=Allowed)
    is_http_allowed: bool = False
    ca_file: str = ""  # certificate authorities besides the public ones
    redirects: int = 3
    resolve_seconds: float = 15
    connect_seconds: float = 5
    answer_seconds: float = 30  # from the request to the last header
    # The slowest accepted body: so many bytes in each such period.
    period_seconds: float = 30
    period_bytes: int = 30 << 10
    resolver: Callable[[str, int], Sequence[str]] = field(
        default=system_resolver, compare=False
    )


@dataclass(frozen=True, slots=True)
class Url:
    """A URL taken apart once. `target` is path and query, never shown."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def read_url(text: str, rules: Rules, *, longest: int = MAX_URL) -> Url:
    """Take a URL apart; raise `BadAddress`. An IP literal is checked at once."""
    if len(text) > longest or not PRINTABLE.fullmatch(text):
        raise BadAddress(f"a URL has at most {longest} characters, all plain ASCII")
    try:
        parts = urlsplit(text)
        port = parts.port
        host = normal_host(parts.hostname or "")
    except ValueError as error:
        raise BadAddress("this URL names no host in the usual spelling") from error
    if parts.scheme not in PORTS:
        raise BadAddress("a URL begins with https://")
    if parts.scheme == "http" and not rules.is_http_allowed:
        raise BadAddress("plain http is not allowed here: use https")
    if "@" in parts.netloc:
        raise BadAddress("a URL holds no user name and no password")
    port = PORTS[parts.scheme] if port is None else port
    if port not in PORTS.values() and port < 1024:
        raise BadAddress("the port must be 443, 80, or 1024 and above")
    address = literal(host)
    if address is not None and not rules.allowed.permits(host, address):
        raise BadAddress("this server does not contact that address")
    query = f"?{parts.query}" if parts.query else ""
    return Url(parts.scheme, host, port, (parts.path or "/") + query)
