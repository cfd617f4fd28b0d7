"""What a restore reads, whatever kind of file it came in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from django.apps.registry import Apps

from scans.backups.archive import ArchiveReader, StoredFile
from scans.backups.failures import Unreadable
from scans.backups.reading import Migrations, Row
from scans.backups.tables import Column, Table, tables_of
from scans.backups.taking import Watch, models_at


class Source(Protocol):
    """An examined backup. Every method raises `Unreadable` for a damaged one."""

    migrations: Migrations
    # "postgresql" or "sqlite": how it spells JSON.
    vendor: str
    # Rows of each table that is in it.
    counts: Mapping[str, int]

    def describe(self) -> str:
        """Say in words what it is."""

    def columns(self, table: str) -> tuple[Column, ...]: ...

    def tables(self) -> Iterator[tuple[str, Iterator[Row]]]:
        """Yield each table and its rows, which are to be read before the next one."""

    def last_id(self, table: str) -> int | None: ...

    def files(self) -> list[StoredFile]:
        """Return the stored uploads that it tells of, none where it tells of none."""

    def chunks(self, file: StoredFile) -> Iterator[bytes]: ...

    def close(self) -> None: ...


class Archive:
    """Our own format."""

    def __init__(self, path: Path) -> None:
        self._reader = ArchiveReader(path)
        manifest = self._reader.manifest
        self.migrations = manifest.migrations
        self.vendor = manifest.database
        self.counts: Mapping[str, int] = {
            name: one.rows for name, one in manifest.tables.items()
        }
        self.files = self._reader.files
        self.chunks = self._reader.chunks
        self.close = self._reader.close

    def describe(self) -> str:
        manifest = self._reader.manifest
        return (
            f"a backup by SentraScan {manifest.version} of {manifest.created_at} "
            f"({manifest.database})"
        )

    def columns(self, table: str) -> tuple[Column, ...]:
        return self._reader.manifest.tables[table].columns

    def tables(self) -> Iterator[tuple[str, Iterator[Row]]]:
        for name in self.counts:
            yield name, self._reader.rows(name)

    def last_id(self, table: str) -> int | None:
        return self._reader.manifest.tables[table].last_id

    def examine(self, watch: Watch) -> None:
        """Read all of it against its checksums. Raises `Unreadable`."""
        files = self._reader.files()
        self._reader.check_members(files)
        watch.begin("Checking tables", sum(self.counts.values()), "rows")
        for _, rows in self.tables():
            for _ in rows:
                watch.moved(1)
        kept = [file for file in files if file.has_member]
        watch.begin("Checking stored uploads", sum(f.size for f in kept), "bytes")
        for file in kept:
            if file.is_sound:
                for chunk in self._reader.chunks(file):
                    watch.moved(len(chunk))


def tables_in(source: Source) -> Mapping[str, Table]:
    """Return the tables of the version that wrote it, each with the columns' order of
    the source. Raises `BackupError` unless both agree on tables and columns."""
    apps: Apps = models_at(source.migrations)
    tables = tables_of(apps)
    if set(tables) != set(source.counts):
        odd = min(set(tables) ^ set(source.counts))
        raise Unreadable(f"the table {odd} is not as its migrations say")
    return {name: _ordered(table, source) for name, table in tables.items()}


def _ordered(table: Table, source: Source) -> Table:
    columns = source.columns(table.name)
    if sorted(columns, key=str) != sorted(table.columns, key=str):
        raise Unreadable(f"the columns of {table.name} are not as its migrations say")
    return Table(table.name, columns, table.key, table.serial)
