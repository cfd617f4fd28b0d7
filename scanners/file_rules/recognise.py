"""Which of our formats a file has, decided by its content."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from scanners.file_rules import json_files, pictures, sentencepiece, texts
from scanners.file_rules.outcome import UNCLAIMED, Match, Outcome, Status, failed

# The record that ends every ZIP, and how far from the end readers look for it
# (APPNOTE.TXT 4.3.16: 22 bytes and a comment of at most 65,535).
ZIP_END, ZIP_TAIL = b"PK\x05\x06", 22 + 65_535


def examine(root: Path, path: str) -> Outcome:
    """Examine the file `path` (relative, POSIX) below `root`.

    A file that cannot be opened or is none is a `failed` outcome, never an exception.
    """
    try:
        descriptor = os.open(root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        return failed(f"cannot be opened: {error.strerror}")
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            return failed("not a regular file")
        if status.st_size == 0:
            return failed("empty: nothing to examine")
        head = file.read(16)
        limit = _limit(path, head)
        if limit == 0:
            return UNCLAIMED
        raw = head + file.read(limit + 1 - len(head))
    if len(raw) > limit:
        return _too_large(path, head, limit)
    return _judge(path, raw)


def _limit(path: str, head: bytes) -> int:
    """Return how many bytes we would read of such a file; 0: it is not ours."""
    if path.lower().endswith(".json"):
        return json_files.MAX_BYTES
    if pictures.is_picture(head):
        return pictures.MAX_BYTES
    if texts.is_text(path) or texts.is_template(path):
        return texts.MAX_BYTES
    # The key of a SentencePiece model's first field, as every writer puts it first.
    return sentencepiece.MAX_BYTES if head.startswith(b"\x0a") else 0


def _too_large(path: str, head: bytes, limit: int) -> Outcome:
    if path.lower().endswith(".json") or pictures.is_picture(head):
        return failed(f"larger than {limit >> 20} MiB")
    return UNCLAIMED


def _judge(path: str, raw: bytes) -> Outcome:
    if path.lower().endswith(".json"):
        return json_files.examine(raw)
    if pictures.is_picture(raw[:16]):
        return _without_archive(pictures.examine(raw), raw)
    if texts.is_template(path):
        return texts.examine_template(raw)
    if texts.is_text(path):
        outcome = texts.examine(path, raw)
        if outcome.status is not Status.UNCLAIMED:
            return outcome
    if raw.startswith(b"\x0a"):
        return _without_archive(sentencepiece.examine(raw), raw)
    return UNCLAIMED


def _without_archive(outcome: Outcome, raw: bytes) -> Outcome:
    """ZIP is read from its end: one can lie inside another file's free bytes."""
    is_good = outcome.status in (Status.SCANNED, Status.INERT)
    place = raw.rfind(ZIP_END, max(0, len(raw) - ZIP_TAIL))
    if not is_good or place == -1:
        return outcome
    match = Match("EMBEDDED_ARCHIVE", f"byte {place}", (outcome.format,))
    reason = f"a {outcome.format} that is also a ZIP archive"
    return failed(reason, (match,), outcome.format)
