"""Files that are there whole or not at all, for their owner's eyes only."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from scans.backups.failures import BackupError

_WRITE = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def check_name(path: Path, *, overwrite: bool) -> None:
    """Raise `BackupError` for a name that cannot, or must not, be written."""
    if path.is_dir():
        raise BackupError(f"{path} is a directory: name a file in it")
    if path.exists() and not path.is_file():
        raise BackupError(f"{path} is no plain file; - means the standard output")
    if path.exists() and not overwrite:
        raise BackupError(f"{path} is there already; --overwrite replaces it")
    if not path.parent.is_dir():
        raise BackupError(f"there is no directory {path.parent}")


@contextmanager
def written_whole(path: Path, *, overwrite: bool = False) -> Iterator[IO[bytes]]:
    """Yield a file that gets the name `path` at the end of the block, mode 0600.

    Until then it is `<path>.partial`, which a block that fails takes away again, and
    which whoever is killed leaves for the next one. Raises `BackupError` for a bad name
    or while another process writes it, `OSError` where the disk is full.
    """
    check_name(path, overwrite=overwrite)
    partial = path.with_name(f"{path.name}.partial")
    with os.fdopen(os.open(partial, _WRITE, 0o600), "wb") as file:
        _lock(file, partial)
        try:
            os.fchmod(file.fileno(), 0o600)
            file.truncate(0)
            yield file
            file.flush()
            os.fsync(file.fileno())
            check_name(path, overwrite=overwrite)
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    _settle(path.parent)


def _lock(file: IO[bytes], partial: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its last writer may have given it the final name while we waited.
        is_ours = os.path.samestat(os.fstat(file.fileno()), partial.stat())
    except (BlockingIOError, FileNotFoundError):
        is_ours = False
    if not is_ours:
        raise BackupError(f"{partial} is being written by another process")


def _settle(directory: Path) -> None:
    """Have the new name on disk, not only the bytes."""
    held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(held)
    finally:
        os.close(held)
