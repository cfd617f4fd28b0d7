"""The way back: a new database is made, compared, brought up to date, swapped in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import F

from apikeys import audit
from apikeys.audit import COMMAND_LINE
from scans.backups import carrying, keys, stored
from scans.backups.carrying import Doors, Shut
from scans.backups.comparing import Sum
from scans.backups.failures import BackupError, Occupied, Unreadable
from scans.backups.loading import load, loading
from scans.backups.places import Place, contents, pointed_at
from scans.backups.postgres import PostgresPlace
from scans.backups.reading import Row, snapshot
from scans.backups.sources import Source, tables_in
from scans.backups.sqlite import SqlitePlace
from scans.backups.tables import Table
from scans.backups.taking import Watch, leaves
from scans.choices import ScanStatus
from scans.models import InstallationKey, Scan
from scans.models.scans import QUEUED_AGAIN
from scans.sealing import identity_of


@dataclass(slots=True)
class Restored:
    """What came of a restore, for people."""

    rows: int = 0
    files: int = 0
    # Where the database is that was there before.
    previous: str | None = None
    # Uploads whose bytes are neither here nor in the backup.
    missing_files: int = 0
    shut: Shut = field(default_factory=lambda: Shut([], []))
    # Whether the present database could be asked who was shut out.
    is_known_who: bool = True
    live_keys: int = 0
    # Why what is signed and encrypted cannot be used, "" where it can.
    key_trouble: str = ""


def restore(
    source: Source,
    name: str,
    watch: Watch,
    *,
    is_replacing: bool,
    is_verifying: bool,
    key: bytes | None,
) -> Restored:
    """Make this installation what `source` says, or change nothing.

    Raises `Occupied` where rows are in the way and `is_replacing` is not set,
    `BackupError` and `OSError` for whatever else is.
    """
    tables = tables_in(source)
    files = source.files()
    place, restored = _place(), Restored()
    with place.alone():
        before = _look(place, is_replacing=is_replacing)
        restored.is_known_who = before is not None
        stored.check_space(files)
        directory = stored.workshop()
        try:
            with place.building():
                restored.rows = _build(source, tables, watch, is_verifying=is_verifying)
                restored.key_trouble = _key_trouble(key)
                restored.shut = carrying.shut(before)
                _settle(name, restored)
                staged = stored.stage(source, files, directory, watch)
                restored.files = len(staged)
                stored.put(staged)
                restored.missing_files = stored.missing()
                watch.begin("Swapping", 0, "")
                connection.close()
                restored.previous = place.swap()
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        _after(restored, key)
    return restored


def _place() -> Place:
    return PostgresPlace() if connection.vendor == "postgresql" else SqlitePlace()


def _look(place: Place, *, is_replacing: bool) -> Doors | None:
    """Return who may come in now; raise `Occupied` where that is not to be replaced."""
    if not place.is_there():
        return Doors({}, {}, frozenset())
    try:
        table = contents()
    except DatabaseError as error:
        reason = " ".join(str(error).split())
        table = f"the present database, which cannot be read ({reason}),"
    if table and not is_replacing:
        raise Occupied(
            f"this installation is not empty: {table} would be replaced; --replace "
            "says that this is meant"
        )
    return carrying.doors()


def _build(
    source: Source, tables: Mapping[str, Table], watch: Watch, *, is_verifying: bool
) -> int:
    """Make the installation of `source` in the empty database; return its rows."""
    watch.begin("Making tables", 0, "")
    executor = MigrationExecutor(connection)
    executor.migrate(leaves(executor.loader, source.migrations))
    is_alike = source.vendor == connection.vendor
    sums = {name: Sum(table, is_alike) for name, table in tables.items()}
    try:
        with loading(tables):
            watch.begin("Writing rows", sum(source.counts.values()), "rows")
            for name, rows in source.tables():
                passing = sums[name].passing(rows) if is_verifying else rows
                moving = _moving(passing, watch)
                load(tables[name], moving, source.last_id(name))
    except (DatabaseError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise BackupError(f"its rows cannot be written: {reason}") from error
    _compare(source, sums, watch, is_verifying=is_verifying)
    watch.begin("Bringing it up to date", 0, "")
    call_command("migrate", interactive=False, verbosity=0)
    return sum(source.counts.values())


def _moving(rows: Iterator[Row], watch: Watch) -> Iterator[Row]:
    for row in rows:
        watch.moved(1)
        yield row


def _compare(
    source: Source, sums: Mapping[str, Sum], watch: Watch, *, is_verifying: bool
) -> None:
    """Raise `BackupError` unless the database has exactly what was read."""
    total = sum(source.counts.values())
    watch.begin("Comparing rows" if is_verifying else "Counting rows", total, "rows")
    with snapshot() as moment:
        for name, read in sums.items():
            count = moment.count(read.table)
            if count != source.counts[name]:
                raise BackupError(
                    f"{name} has {count} rows after the restore, and "
                    f"{source.counts[name]} in the backup"
                )
            if is_verifying:
                found = Sum(read.table, read.is_spelled_alike)
                for row in moment.rows(read.table):
                    found.add(row)
                    watch.moved(1)
                if found.total != read.total:
                    raise BackupError(f"{name} is not the same after the restore")


def _key_trouble(key: bytes | None) -> str:
    """Return why signatures and encryption will not work; raise for a wrong `key`."""
    known = InstallationKey.objects.values_list("key_id", flat=True).first()
    if known is None:
        return ""
    if key is not None:
        if identity_of(key) != known:
            raise Unreadable("the installation key is not the one of this backup")
        return ""
    present = keys.here()
    if present is not None and identity_of(present) == known:
        return ""
    what = "is not here" if present is None else "is another than the one here"
    return f"the installation key {known[:12]} of this backup {what}"


def _settle(name: str, restored: Restored) -> None:
    """Let work that was cut off begin again, and note what happened."""
    Scan.objects.filter(scan_status=ScanStatus.RUNNING).update(
        **QUEUED_AGAIN, attempt=F("attempt") - 1
    )
    audit.record(
        "installation.restore",
        actor=COMMAND_LINE,
        object_type="installation",
        object_id=name[:200],
        detail={
            "rows": restored.rows,
            "keys_kept_revoked": restored.shut.keys[:100],
            "users_kept_out": restored.shut.users[:100],
        },
    )


def _after(restored: Restored, key: bytes | None) -> None:
    """Do what can only be done once nobody writes into the old database any more."""
    if restored.previous:
        with pointed_at(restored.previous):
            late = carrying.doors()
        more = carrying.shut(late)
        restored.shut.keys += more.keys
        restored.shut.users += more.users
    if key is not None:
        keys.install(key)
    restored.live_keys = carrying.live_keys()
