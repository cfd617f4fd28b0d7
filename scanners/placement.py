"""Puts stored bytes into a target directory: as a second name of theirs, or as a copy.

A hard link costs no disk and no writing, whatever the size. It is a name of the very
file that is stored, so it is given only to tools that cannot change their target: the
sandbox must hold, and the file loses its write permission, for its owner too.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

CHUNK = 1 << 20
MAX_NAME_BYTES = 255
MAX_DEPTH = 32


class Checkpoint(Protocol):
    """Called between chunks with the bytes that were dealt with since the last call.

    Raises to end the work (cancelled, out of time).
    """

    def __call__(self, moved: int = 0, /) -> None: ...


class Readable(Protocol):
    """Gives its bytes piece by piece: `b""` is the end, a size only a wish."""

    def read(self, size: int = -1, /) -> bytes: ...


def safe_name(name: str) -> str:
    """Return `name` as a relative POSIX path; raise `ValueError` if it is none."""
    if not name or "\x00" in name or "\\" in name:
        raise ValueError("a file name is a relative path with forward slashes")
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts:
        raise ValueError("a file name must stay inside the target")
    if len(path.parts) > MAX_DEPTH:
        raise ValueError(f"a file name has at most {MAX_DEPTH} levels")
    for part in path.parts:
        if len(part.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
            raise ValueError(
                f"a part of a file name has at most {MAX_NAME_BYTES} bytes"
            )
        if any(unicodedata.category(character) in {"Cc", "Cs"} for character in part):
            raise ValueError("a file name holds no control characters")
    return str(path)


def link(stored: Path, final: Path) -> bool:
    """Make `final` a second name of `stored`; False where that cannot be.

    Not on another file system, on one without links, or beyond its number of names.
    Raises `FileExistsError`, `FileNotFoundError`, `NotADirectoryError`.
    """
    try:
        os.link(stored, final, follow_symlinks=False)
    except (FileExistsError, FileNotFoundError, NotADirectoryError):
        raise
    except OSError:
        return False
    try:
        with plain(final) as file:
            os.fchmod(file.fileno(), _mode())
    except OSError:
        final.unlink()
        return False
    return True


def _mode() -> int:
    # Where we are root the tools run as nobody. The store's directories are closed to
    # everybody else, so that only this scan's name of the file is within reach.
    return 0o400 if os.geteuid() else 0o444


@contextmanager
def steady(real: Path) -> Iterator[Path]:
    """Give a path to `real` that no link put into its folders meanwhile can bend.

    `real` is resolved. Its folders are opened one inside the other and no link is
    followed, as openat2(2) does with RESOLVE_NO_SYMLINKS; the last one is held open.
    What is given may itself be a link by now. Raises `OSError`.
    """
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    folder = os.open(real.anchor, flags)
    try:
        for part in real.parts[1:-1]:
            inner = os.open(part, flags, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield Path(f"/proc/self/fd/{folder}", real.name)
    finally:
        os.close(folder)


def plain(path: Path) -> BinaryIO:
    """Open a regular file, never what a link points to. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return os.fdopen(descriptor, "rb")


def digest(source: Readable, checkpoint: Checkpoint) -> tuple[str, int]:
    """Return the SHA-256 and the number of the bytes that `source` still gives."""
    hashed, size = hashlib.sha256(), 0
    for chunk in _chunks(source, checkpoint):
        hashed.update(chunk)
        size += len(chunk)
    return hashed.hexdigest(), size


def copy(source: Readable, final: Path, checkpoint: Checkpoint) -> tuple[str, int]:
    """Write what `source` gives to a new file; return its SHA-256 and its size."""
    hashed, size = hashlib.sha256(), 0
    with final.open("xb") as target:
        for chunk in _chunks(source, checkpoint):
            hashed.update(chunk)
            size += len(chunk)
            target.write(chunk)
    final.chmod(0o444)
    return hashed.hexdigest(), size


def _chunks(source: Readable, checkpoint: Checkpoint) -> Iterator[bytes]:
    while chunk := source.read(CHUNK):
        checkpoint(len(chunk))
        yield chunk
