"""A restore on SQLite: a second file, copied over the present one in one transaction.

Processes that have the present one open go on with what is in it then: the file stays
the same one, as it would not if another were put in its place.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from django.conf import settings
from django.db import connection

from scans.backups.failures import BackupError
from scans.backups.places import damage, pointed_at

_COMPANIONS = ("", "-wal", "-shm", "-journal")


class SqlitePlace:
    """The file of `DATABASE_URL`, or the one in the data directory."""

    def __init__(self) -> None:
        self.path = Path(str(connection.settings_dict["NAME"]))
        self.building_path = self.path.with_name(f"{self.path.name}.restoring")
        self.before_path = self.path.with_name(f"{self.path.name}.before-restore")

    @contextmanager
    def alone(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(self.path.with_name(f"{self.path.name}.restore-lock")) as is_ours:
            if not is_ours:
                raise BackupError("another restore is at work on this database")
            yield

    def is_there(self) -> bool:
        return self.path.exists()

    @contextmanager
    def building(self) -> Iterator[None]:
        _remove(self.building_path)
        self.building_path.touch(mode=0o600)
        try:
            with pointed_at(str(self.building_path)):
                yield
        except BaseException:
            _remove(self.building_path)
            raise

    def swap(self) -> str | None:
        connection.close()
        if not self.is_there():
            self.path.touch(mode=0o600)
            _copy(self.building_path, self.path)
            _remove(self.building_path)
            return None
        if damage() or not _keep(self.path, self.before_path):
            self._put_aside()
        else:
            _copy(self.building_path, self.path)
        _remove(self.building_path)
        return str(self.before_path)

    def _put_aside(self) -> None:
        """Put another file in the place of a damaged one that nobody has open."""
        with _locked(Path(settings.DATA_DIR) / "local.lock") as is_ours:
            if not is_ours:
                raise BackupError(
                    "the present database is damaged and in use: stop SentraScan first"
                )
            _remove(self.before_path)
            for companion in _COMPANIONS[1:]:
                Path(f"{self.path}{companion}").unlink(missing_ok=True)
            with closing(sqlite3.connect(self.building_path)) as built:
                # What the write-ahead log holds has to be in the file.
                built.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.before_path.hardlink_to(self.path)
            self.building_path.replace(self.path)


def _copy(source: Path, target: Path) -> None:
    """Make the content of `target` that of `source`, in one transaction."""
    with (
        closing(sqlite3.connect(source)) as built,
        closing(sqlite3.connect(target, timeout=20)) as present,
    ):
        present.execute("PRAGMA journal_mode = WAL")
        built.backup(present)


def _keep(path: Path, kept: Path) -> bool:
    """Keep a copy of a database; False where it is too damaged for that."""
    partial = kept.with_name(f"{kept.name}.partial")
    _remove(partial)
    partial.touch(mode=0o600)
    try:
        _copy(path, partial)
        with closing(sqlite3.connect(partial)) as copy:
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.DatabaseError:
        _remove(partial)
        return False
    _remove(kept)
    partial.replace(kept)
    return True


def _remove(path: Path) -> None:
    for companion in _COMPANIONS:
        Path(f"{path}{companion}").unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        is_ours = True
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            is_ours = False
        yield is_ours
    finally:
        os.close(held)
