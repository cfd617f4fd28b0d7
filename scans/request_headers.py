"""Headers that a client wants sent to an MCP server: checked, sealed, opened once.

They are secrets. No row but the sealed one holds a name or a value of them, and nobody
but the worker that asks the server opens it.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from datetime import timedelta

from django.utils import timezone

from scans import sealing
from scans.choices import Gone, Refused
from scans.models import SealedHeaders
from scans.sealing import Purpose

# After so long without a new scan of the same server they have to be sent again.
KEPT = timedelta(days=30)
MAX_HEADERS = 32
MAX_NAME = 128
MAX_VALUE = 8192
MAX_TOTAL = 16 << 10  # what servers take; RFC 9110, 5.4
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # token: RFC 9110, 5.6.2
_VALUE = re.compile(r"(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?")  # RFC 9110, 5.5
# Of the connection (RFC 9110, 7.6.1), of the message, or said by the protocol itself.
_OURS = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"}
    | {"transfer-encoding", "proxy-authorization", "proxy-authenticate", "expect"}
    | {"host", "content-length", "content-type", "content-encoding", "accept"}
    | {"accept-encoding", "mcp-session-id", "mcp-protocol-version", "last-event-id"}
)


def check(headers: Mapping[str, str]) -> None:
    """Raise `Refused` for what is no header, or none that a client may set.

    No message holds a value, and of what is no name none holds that.
    """
    if len(headers) > MAX_HEADERS:
        raise Refused("headers", f"at most {MAX_HEADERS}")
    known: set[str] = set()
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
            raise Refused("headers", "a name is a token of RFC 9110, such as X-Api-Key")
        if name.lower() in _OURS:
            raise Refused("headers", f"{name} is not the client's to set")
        if name.lower() in known:
            raise Refused("headers", f"{name} stands twice")
        if not _VALUE.fullmatch(value) or len(value) > MAX_VALUE:
            raise Refused(
                "headers",
                f"the value of {name} is not plain ASCII without blanks at its ends, "
                f"of at most {MAX_VALUE} characters",
            )
        known.add(name.lower())
    if sum(len(name) + len(value) for name, value in headers.items()) > MAX_TOTAL:
        raise Refused("headers", f"all together at most {MAX_TOTAL} characters")


def keep(scan_id: uuid.UUID, headers: Mapping[str, str], *, origin: str) -> None:
    """Store them for one scan, to be sent to `origin` and nowhere else.

    Raises `Refused` where this installation has lost its key.
    """
    try:
        sealed = sealing.seal(
            json.dumps(dict(headers)).encode(), Purpose.HEADERS, place=origin
        )
    except sealing.KeyLost as error:
        reason = "this server cannot keep them now: its operator must see to its key"
        raise Refused("headers", reason, status=503) from error
    SealedHeaders.objects.create(scan_id=scan_id, sealed=sealed)


def pass_on(old: uuid.UUID, new: uuid.UUID) -> None:
    """Let a scan that is run again have them, still sealed; raise `Gone`."""
    row = SealedHeaders.objects.filter(pk=old).first()
    if row is None:
        raise Gone("The request headers have been removed: submit the server again")
    SealedHeaders.objects.create(scan_id=new, sealed=row.sealed)


def opened(scan_id: uuid.UUID, *, origin: str) -> dict[str, str]:
    """Return what was kept for this scan and origin.

    Raises `LookupError` where it is gone, `sealing.Unreadable`, `sealing.KeyLost`.
    """
    row = SealedHeaders.objects.filter(pk=scan_id).first()
    if row is None:
        raise LookupError("they have been removed")
    raw = sealing.unseal(bytes(row.sealed), Purpose.HEADERS, place=origin)
    headers: dict[str, str] = json.loads(raw)
    return headers


def forget() -> None:
    """Remove what nobody has needed for long: scans that are over, and old."""
    SealedHeaders.objects.unused(before=timezone.now() - KEPT).delete()
