"""Submitted bytes on disk: streamed in, stored once by their SHA-256.

Layout below `UPLOAD_DIR`: `incoming/` holds what is still arriving, `ab/abcdef...` what
arrived. Files and directories are closed to all but their owner. A file that is scanned
loses its write permission: the tools see the stored file itself under another name.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings


class TooLarge(Exception):
    """More bytes came than `limit`."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"larger than {limit} bytes")
        self.limit = limit


class InsufficientSpace(Exception):
    """The disk is nearly full: nothing more is accepted."""


@dataclass(frozen=True, slots=True)
class Received:
    """A file that arrived whole and still lies in `incoming/` under `path`."""

    name: str
    path: Path
    sha256: str
    size_bytes: int

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)


def incoming_dir() -> Path:
    directory = Path(settings.UPLOAD_DIR) / "incoming"
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return directory


def path_of(sha256: str) -> Path:
    return Path(settings.UPLOAD_DIR) / sha256[:2] / sha256


def check_space() -> None:
    """Raise `InsufficientSpace` below `MIN_FREE_BYTES`."""
    if shutil.disk_usage(incoming_dir()).free < settings.MIN_FREE_BYTES:
        raise InsufficientSpace("The server is short of disk space")


class Receiver:
    """Takes the chunks of one file, hashing while it writes."""

    def __init__(self, name: str, *, limit: int) -> None:
        """Open a private file; raise `InsufficientSpace` on a nearly full disk."""
        check_space()
        self.name = name
        self._limit = limit
        self._size = 0
        self._hash = hashlib.sha256()
        self._path = incoming_dir() / secrets.token_hex(16)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(descriptor, "wb")

    def write(self, chunk: bytes) -> None:
        """Add `chunk`; raise `TooLarge` past the limit, having removed the file."""
        self._size += len(chunk)
        if self._size > self._limit:
            self.discard()
            raise TooLarge(self._limit)
        self._hash.update(chunk)
        try:
            self._file.write(chunk)
        except OSError as error:
            self.discard()
            raise InsufficientSpace(error.strerror or "The disk is full") from error

    def finish(self) -> Received:
        try:
            self._file.close()
        except OSError as error:
            self.discard()
            raise InsufficientSpace(error.strerror or "The disk is full") from error
        return Received(self.name, self._path, self._hash.hexdigest(), self._size)

    def discard(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


def receive(name: str, content: bytes) -> Received:
    """Store `content` as one received file."""
    receiver = Receiver(name, limit=len(content))
    receiver.write(content)
    return receiver.finish()


def keep(received: Received) -> None:
    """Move a received file to its place; the same bytes may lie there already.

    Called with the row of these bytes locked, so that retention cannot remove what
    is being put here.
    """
    final = path_of(received.sha256)
    final.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    received.path.replace(final)
    os.utime(final)
