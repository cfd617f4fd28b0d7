"""Bytes of a zip that are of no member: told or padded, and what must not lie there."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import pytest

from scanners.zip_layout import hidden_part
from tests.scanners import samples

PAYLOAD = samples.malicious_pickle()
PLACE = "in what is told of a member"


def field(kind: int, content: bytes) -> bytes:
    return struct.pack("<HH", kind, len(content)) + content


def second_name(name: bytes, of: bytes = b"weights.txt") -> bytes:
    return field(0x7075, b"\x01" + struct.pack("<I", zlib.crc32(of)) + name)


def zipped(
    *, comment: bytes = b"", told: bytes = b"", extra: bytes = b"", local: bytes = b""
) -> bytes:
    """Return a zip of one text; `local` stands in place of its first extra field."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("weights.txt", date_time=(1980, 1, 1, 0, 0, 0))
        info.extra, info.comment = extra, told
        archive.comment = comment
        archive.writestr(info, b"These are no weights.")
    raw = buffer.getvalue()
    if local:
        assert len(local) == len(extra)
        at = raw.index(b"weights.txt") + len(b"weights.txt")
        raw = raw[:at] + local + raw[at + len(local) :]
    return raw


def hidden(raw: bytes) -> str:
    source = io.BytesIO(raw)
    with zipfile.ZipFile(source) as archive:
        return hidden_part(source, archive)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (zipped(comment=PAYLOAD), "in its comment"),
        (
            zipped(comment=samples.zip_of({"m.pkl": PAYLOAD})),
            "before or between its members",
        ),
        (zipped(told=PAYLOAD), PLACE),
        (zipped(extra=field(0x4246, PAYLOAD)), PLACE),
        (zipped(extra=field(0x5455, PAYLOAD * 3)), PLACE),
        (zipped(extra=field(0x5455, bytes(5)) + field(0x9999, PAYLOAD)), PLACE),
        (zipped(extra=second_name(b"model.pkl")), PLACE),
        (
            zipped(extra=field(0x4246, bytes(9)), local=field(0x4246, PAYLOAD[:9])),
            PLACE,
        ),
    ],
)
def test_bytes_of_anybodys_choice_beside_the_members_are_seen(
    raw: bytes, said: str
) -> None:
    assert hidden(raw) == said


@pytest.mark.parametrize(
    "raw",
    [
        zipped(),
        zipped(comment="Gewichte für Köln\r\n".encode()),
        zipped(told=b"Made by hand."),
        zipped(extra=field(0x5455, bytes(range(9))) + field(0x7875, bytes(range(11)))),
        zipped(extra=field(0x000A, bytes(range(32)))),
        zipped(extra=field(0x4246, bytes(40))),
        zipped(extra=bytes(3)),
        zipped(extra=second_name(b"weights.txt")),
    ],
)
def test_what_ordinary_writers_tell_of_members_is_nothing_hidden(raw: bytes) -> None:
    assert hidden(raw) == ""
