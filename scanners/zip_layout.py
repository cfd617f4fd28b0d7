"""Is a zip archive all that its directory says, and nothing else?

A reader that trusts the central directory never sees what lies before it, between its
members or behind its end; other readers do. Source: APPNOTE 6.3.10, section 4.3.
"""

from __future__ import annotations

import struct
import zipfile
from typing import BinaryIO

LOCAL_HEADER = 30  # bytes before the name
END_RECORD = 22  # bytes before the comment
ZIP64_END = 56 + 20  # the record and its locator
LONGEST_END = END_RECORD + 0xFFFF
HAS_DESCRIPTOR = 0x8
# With or without a signature, for sizes of 4 or 8 bytes.
DESCRIPTORS = frozenset({12, 16, 20, 24})
ZIP64_MARK = 0xFFFFFFFF
EMPTY_DEFLATE = 2  # bytes of a compressed nothing
# What says when, for whom, how large or nothing: ZIP64, NTFS, three of Unix, times, and
# the jar's mark. APPNOTE 4.5.2 and 4.6; Info-ZIP, proginfo/extrafld.txt.
KNOWN_EXTRAS = frozenset({0x0001, 0x000A, 0x5455, 0x5855, 0x7855, 0x7875, 0xCAFE})
UNICODE_PATH = 0x7075
LONGEST_EXTRA = 64  # bytes of one of them; theirs have at most 36


def hidden_part(source: BinaryIO, archive: zipfile.ZipFile) -> str:
    """Return where bytes lie that no member accounts for, in words, or ''.

    Reads `source` by its own position, which is left anywhere.
    """
    if not _is_text(archive.comment):
        return "in its comment"
    end, gaps = 0, frozenset({0})
    for member in sorted(archive.infolist(), key=lambda item: item.header_offset):
        if member.is_dir() and member.compress_size > EMPTY_DEFLATE:
            return "in the entry of a folder"
        if member.header_offset - end not in gaps:
            return "before or between its members"
        source.seek(member.header_offset)
        name, extra = struct.unpack("<HH", source.read(LOCAL_HEADER)[26:30])
        called, told = source.read(name), source.read(extra)
        is_plain = _is_plain(told, called) and _is_plain(member.extra, called)
        if not (is_plain and _is_text(member.comment)):
            return "in what is told of a member"
        end = member.header_offset + LOCAL_HEADER + name + extra + member.compress_size
        gaps = DESCRIPTORS if member.flag_bits & HAS_DESCRIPTOR else frozenset({0})
    if archive.start_dir - end not in gaps:
        return "before its directory"
    return _behind_directory(source, archive.start_dir)


def _is_text(comment: bytes) -> bool:
    """Whether a comment is words, in which nothing that loads can lie."""
    try:
        text = comment.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(char.isprintable() or char in "\t\r\n" for char in text)


def _is_plain(extra: bytes, name: bytes) -> bool:
    """Whether extra fields are known ones that carry no bytes of anybody's choice.

    A writer that aligns its members fills up with zeros. A second name of the member
    must be the first: some readers take the one, some the other.
    """
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        content, extra = extra[4 : 4 + size], extra[4 + size :]
        is_known = kind in KNOWN_EXTRAS and size <= LONGEST_EXTRA
        is_name = kind == UNICODE_PATH and content[5:] == name
        if len(content) < size or not (is_known or is_name or not content.strip(b"\0")):
            return False
    return not extra.strip(b"\0")


def _behind_directory(source: BinaryIO, directory: int) -> str:
    size = source.seek(0, 2)
    start = max(0, size - LONGEST_END)
    source.seek(start)
    tail = source.read()
    found = tail.rfind(b"PK\x05\x06")
    directory_size, _, comment = struct.unpack(
        "<IIH", tail[found + 12 : found + END_RECORD]
    )
    if found + END_RECORD + comment != len(tail):
        return "behind its end"
    between = start + found - directory
    is_zip64 = directory_size == ZIP64_MARK
    if not is_zip64 and between not in {directory_size, directory_size + ZIP64_END}:
        return "behind its directory"
    return ""
