"""Pictures: inert when they are read to their end and nothing follows it.

PNG: W3C Recommendation, section 5. JPEG: ITU T.81, annex B. GIF: GIF89a, appendix.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from scanners.file_rules.outcome import Match, Outcome, Status, failed

MAX_BYTES = 64 << 20
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
# JPEG markers that stand alone: TEM and RST0-RST7.
JPEG_LONE = frozenset({0x01, *range(0xD0, 0xD8)})
JPEG_SCAN, JPEG_END = 0xDA, 0xD9


class NotPictureError(ValueError):
    """The bytes do not keep what their first ones promise."""


def _png_end(raw: bytes) -> int:
    """Return where a PNG ends, in bytes from its start."""
    at = len(PNG_MAGIC)
    if raw[at + 4 : at + 8] != b"IHDR":
        raise NotPictureError("no IHDR chunk at its start")
    while at + 12 <= len(raw):
        size = int.from_bytes(raw[at : at + 4])
        kind, end = raw[at + 4 : at + 8], at + 12 + size
        if end > len(raw) or not kind.isalpha():
            break
        checksum = int.from_bytes(raw[end - 4 : end])
        if zlib.crc32(memoryview(raw)[at + 4 : end - 4]) != checksum:
            raise NotPictureError("a chunk with a wrong checksum")
        if kind == b"IEND":
            return end
        at = end
    raise NotPictureError("cut off before its IEND chunk")


def _jpeg_end(raw: bytes) -> int:
    """Return where a JPEG ends, in bytes from its start."""
    at = 2
    while at + 2 <= len(raw):
        if raw[at] != 0xFF:
            raise NotPictureError("no marker where one must stand")
        marker = raw[at + 1]
        at += 1 if marker == 0xFF else 2
        if marker == JPEG_END:
            return at
        if marker == 0xFF or marker in JPEG_LONE:
            continue
        size = int.from_bytes(raw[at : at + 2])
        if size < 2:
            raise NotPictureError("a segment without a length")
        at += size
        if marker == JPEG_SCAN:
            at = _after_scan(raw, at)
    raise NotPictureError("cut off before its end marker")


def _after_scan(raw: bytes, at: int) -> int:
    """Return the next marker that is no part of the picture's coded data."""
    while (at := raw.find(b"\xff", at)) != -1 and at + 1 < len(raw):
        if raw[at + 1] not in (0x00, *range(0xD0, 0xD8)):
            return at
        at += 2
    raise NotPictureError("cut off in its picture data")


def _gif_end(raw: bytes) -> int:
    """Return where a GIF ends, in bytes from its start."""
    at = 13 + _color_table(raw, 10)
    while at < len(raw):
        introducer = raw[at]
        if introducer == 0x3B:
            return at + 1
        if introducer == 0x21:
            at = _after_blocks(raw, at + 2)
        elif introducer == 0x2C:
            at = _after_blocks(raw, at + 11 + _color_table(raw, at + 9))
        else:
            raise NotPictureError("an unknown block")
    raise NotPictureError("cut off before its trailer")


def _color_table(raw: bytes, flags_at: int) -> int:
    flags = raw[flags_at] if flags_at < len(raw) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(raw: bytes, at: int) -> int:
    while at < len(raw) and raw[at]:
        at += raw[at] + 1
    return at + 1


FORMATS: tuple[tuple[bytes, str, Callable[[bytes], int]], ...] = (
    (PNG_MAGIC, "PNG picture", _png_end),
    (b"\xff\xd8\xff", "JPEG picture", _jpeg_end),
    (b"GIF87a", "GIF picture", _gif_end),
    (b"GIF89a", "GIF picture", _gif_end),
)


def is_picture(head: bytes) -> bool:
    return any(head.startswith(magic) for magic, _, _ in FORMATS)


def examine(raw: bytes) -> Outcome:
    """Examine a whole file that begins as a picture."""
    name, find_end = next((n, e) for magic, n, e in FORMATS if raw.startswith(magic))
    try:
        end = find_end(raw)
    except NotPictureError as error:
        return failed(f"begins as a {name}, but is broken: {error}", format=name)
    extra = len(raw) - end
    if extra > 0:
        match = Match("TRAILING_DATA", f"byte {end}", (f"{name} of {end} bytes",))
        reason = f"{extra} bytes follow the end of the {name}"
        return failed(reason, (match,), name)
    return Outcome(Status.INERT, name, is_identified=True)
