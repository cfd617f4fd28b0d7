"""7z archives for tests: real ones, and such as no packer would make."""

from __future__ import annotations

import io
import stat
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from py7zr import SevenZipFile

SIGNATURE_HEADER = 32  # magic, version, CRC of the rest, then `START`
START = struct.Struct("<QQI")  # offset, size and CRC of the header at the end

type Attributes = Mapping[str, Any]


def seven_zip(
    members: Mapping[str, bytes],
    *,
    changed: Mapping[str, Attributes] | None = None,
    is_header_packed: bool = True,
    **options: Any,
) -> bytes:
    """Pack `members`; `changed` says what to write into the header instead."""
    buffer = io.BytesIO()
    with SevenZipFile(buffer, "w", **options) as archive:
        if not is_header_packed:
            archive.set_encoded_header_mode(False)
        for name, content in members.items():
            archive.writestr(content, name)
        for entry in archive.header.files_info.files if changed else ():
            entry.update((changed or {}).get(entry["filename"], {}))
    return buffer.getvalue()


def of_mode(kind: int) -> Attributes:
    """What 7z stores of a file of this kind, `stat.S_IFLNK` for one."""
    return {"attributes": 0x8000 | (kind | 0o644) << 16}


REPARSE_POINT = {"attributes": stat.FILE_ATTRIBUTE_REPARSE_POINT}
FOLDER = {"attributes": stat.FILE_ATTRIBUTE_DIRECTORY}


def with_header(
    raw: bytes, change: Callable[[bytes], bytes], gap: bytes = b""
) -> bytes:
    """Return `raw` with another header, and `gap` before it."""
    offset, size, _ = START.unpack(raw[12:SIGNATURE_HEADER])
    streams = raw[SIGNATURE_HEADER : SIGNATURE_HEADER + offset] + gap
    header = change(raw[SIGNATURE_HEADER + offset :][:size])
    start = START.pack(len(streams), len(header), zlib.crc32(header))
    crc = struct.pack("<I", zlib.crc32(start))
    return raw[:8] + crc + start + streams + header


def with_anti_item(raw: bytes, kind: bytes = b"\x10") -> bytes:
    """Say that the one (empty) file is to be deleted when this is unpacked."""
    anti = b"\x0f\x01\x80" + kind + b"\x01\x80"  # kEmptyFile, kAnti: of the first

    def add(header: bytes) -> bytes:
        return header[:-2] + anti + header[-2:]  # before kEnd of files and of all

    return with_header(raw, add)


def with_dictionary_of_4_gigabytes(raw: bytes) -> bytes:
    """Ask for the largest dictionary of LZMA2; `raw` has a plain header."""

    def ask(header: bytes) -> bytes:
        at = header.index(b"\x21\x21\x01") + 3  # coder with properties, LZMA2, one byte
        return header[:at] + b"\x28" + header[at + 1 :]

    return with_header(raw, ask)


def with_slack(raw: bytes, slack: bytes) -> bytes:
    """Make the one packed stream longer than its members need, by less than 100 bytes.

    `raw` has a plain header.
    """

    def lengthen(header: bytes) -> bytes:
        at = header.index(b"\x06\x00\x01\x09") + 4  # kPackInfo, one stream, kSize
        longer = (header[at] + len(slack)).to_bytes()
        return header[:at] + longer + header[at + 1 :]

    return with_header(raw, lengthen, gap=slack)


def with_a_billion_members(raw: bytes) -> bytes:
    """Claim that there are so many; `raw` has a plain header and one member."""

    def claim(header: bytes) -> bytes:
        at = header.index(b"\x05\x01") + 1  # kFilesInfo, then their number
        return header[:at] + b"\xf0" + struct.pack("<I", 1 << 30) + header[at + 1 :]

    return with_header(raw, claim)
