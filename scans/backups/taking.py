"""Takes a backup: the tables at one moment, and the stored bytes that they name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import IO, Protocol

from django.apps.registry import Apps
from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from scans import storage
from scans.backups.archive import (
    CHUNK_BYTES,
    KEPT,
    MISSING,
    REFERENCE,
    ArchiveWriter,
    StoredFile,
)
from scans.backups.failures import BackupError
from scans.backups.reading import Migrations, Row, Snapshot, snapshot
from scans.backups.tables import Table, tables_of


class Watch(Protocol):
    """Whoever shows people how far it is."""

    def begin(self, stage: str, total: int, unit: str) -> None:
        """Begin a stage of `total` units: `rows` or `bytes`."""

    def moved(self, count: int) -> None: ...


@dataclass(slots=True)
class Taken:
    """What went into a backup; the lists name stored bytes by their SHA-256."""

    rows: int = 0
    files: int = 0
    file_bytes: int = 0
    missing: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def take(stream: IO[bytes], watch: Watch, *, is_whole: bool = True) -> Taken:
    """Write a backup to `stream`; without `is_whole` stored bytes are only named.

    Raises `BackupError` for a database that is not at this version, `OSError` where
    the stream takes no more.
    """
    taken = Taken()
    with ArchiveWriter(stream) as writer:
        with snapshot() as moment:
            migrations = moment.migrations()
            tables = tables_of(models_at(migrations))
            stored = list(_stored(moment, tables["uploads"]))
            _add_tables(writer, moment, tables, taken, watch)
        # The moment is over: nothing is held while gigabytes are copied.
        if is_whole:
            total = sum(file.size for file in stored)
            watch.begin("Reading stored uploads", total, "bytes")
        for file in stored:
            if is_whole:
                _add_file(writer, file, taken, watch)
            else:
                writer.mention_file(replace(file, state=REFERENCE))
        writer.finish(
            version=settings.VERSION, database=connection.vendor, migrations=migrations
        )
    return taken


def models_at(migrations: Migrations) -> Apps:
    """Return the models as these migrations left them. Raises `BackupError`."""
    loader = MigrationLoader(None)
    known = loader.disk_migrations.keys()
    if unknown := sorted(migrations - known):
        app, name = unknown[0]
        raise BackupError(
            f"it has the migration {app}.{name}, which this version of SentraScan does "
            "not know: it was written by a newer one; update first"
        )
    if not any(app == "scans" for app, _ in migrations):
        raise BackupError("it holds no SentraScan: there are no migrations in it")
    state = loader.project_state(leaves(loader, migrations))
    return state.apps


def leaves(loader: MigrationLoader, migrations: Migrations) -> list[tuple[str, str]]:
    """Return those of the migrations that no other of them rests on."""
    nodes = loader.graph.node_map
    return sorted(
        key
        for key in migrations
        if not any(child.key in migrations for child in nodes[key].children)
    )


def _stored(moment: Snapshot, table: Table) -> Iterator[StoredFile]:
    names = [column.name for column in table.columns]
    sha256, size = names.index("sha256"), names.index("size_bytes")
    for row in moment.rows(table):
        yield StoredFile(row[sha256], row[size], KEPT)


def _add_tables(
    writer: ArchiveWriter,
    moment: Snapshot,
    tables: Mapping[str, Table],
    taken: Taken,
    watch: Watch,
) -> None:
    watch.begin("Reading tables", sum(map(moment.count, tables.values())), "rows")
    for table in tables.values():
        rows = _watched(moment.rows(table), watch)
        last_id = moment.last_id(table) if table.serial else None
        taken.rows += writer.add_table(table.name, table.columns, rows, last_id)


def _watched(rows: Iterator[Row], watch: Watch) -> Iterator[Row]:
    for row in rows:
        watch.moved(1)
        yield row


def _add_file(
    writer: ArchiveWriter, file: StoredFile, taken: Taken, watch: Watch
) -> None:
    try:
        source = storage.path_of(file.sha256).open("rb")
    except FileNotFoundError:
        # Retention was here after our moment, or somebody else was.
        writer.mention_file(replace(file, state=MISSING))
        taken.missing.append(file.sha256)
        watch.moved(file.size)
        return
    with source:
        seen = _Seen(source, watch)
        state = writer.add_file(file, seen.chunks(), lambda: seen.is_of(file))
    if state == KEPT:
        taken.files += 1
        taken.file_bytes += file.size
    else:
        taken.damaged.append(file.sha256)


class _Seen:
    """Hashes stored bytes on their way: they are read once."""

    def __init__(self, source: IO[bytes], watch: Watch) -> None:
        self._source, self._watch = source, watch
        self._hash, self._size = hashlib.sha256(), 0

    def chunks(self) -> Iterator[bytes]:
        while chunk := self._source.read(CHUNK_BYTES):
            self._hash.update(chunk)
            self._size += len(chunk)
            self._watch.moved(len(chunk))
            yield chunk

    def is_of(self, file: StoredFile) -> bool:
        return (self._size, self._hash.hexdigest()) == (file.size, file.sha256)
