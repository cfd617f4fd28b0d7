"""Writes rows into the empty tables of a new database.

Nobody else uses that database yet, and it is thrown away where anything fails: neither
a transaction around all of it nor its foreign keys are needed before the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from itertools import batched
from typing import Any

from django.db import connection, transaction

from scans.backups.failures import BackupError
from scans.backups.reading import Row
from scans.backups.tables import Table

ROWS_AT_ONCE = 1_000


@contextmanager
def loading(tables: Mapping[str, Table]) -> Iterator[None]:
    """Empty the tables, and hold their foreign keys back until the end of the block.

    Raises `IntegrityError` or `BackupError` at its end where a row refers to none.
    """
    held = _on_postgres if connection.vendor == "postgresql" else _on_sqlite
    with held(tables):
        yield


def load(table: Table, rows: Iterator[Row], last_id: int | None) -> None:
    """Insert the rows, and let the database count on from `last_id`."""
    if connection.vendor == "postgresql":
        _copy(table, rows)
    else:
        _insert(table, rows)
    if table.serial and last_id is not None:
        _count_on(table, last_id)


def _q(name: str) -> str:
    return connection.ops.quote_name(name)


def _names(table: Table) -> str:
    return ", ".join(_q(column.name) for column in table.columns)


# --- PostgreSQL


@contextmanager
def _on_postgres(tables: Mapping[str, Table]) -> Iterator[None]:
    names = ", ".join(map(_q, tables))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT format('%s', conrelid::regclass), format('%I', conname),"
            " pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE contype = 'f' AND connamespace = 'public'::regnamespace"
        )
        keys = cursor.fetchall()
        for table, name, _ in keys:
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        cursor.execute(f"TRUNCATE {names} CASCADE")
        yield
        # Checked for all rows at once, and much faster than one by one.
        for table, name, definition in keys:
            cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
        cursor.execute("ANALYZE")


def _copy(table: Table, rows: Iterator[Row]) -> None:
    statement = f"COPY {_q(table.name)} ({_names(table)}) FROM STDIN"
    raw = [i for i, column in enumerate(table.columns) if column.kind == "bytes"]
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        for row in rows:
            for index in raw:
                if row[index] is not None:
                    row[index] = bytes.fromhex(row[index])
            copy.write_row(row)


# --- SQLite


@contextmanager
def _on_sqlite(tables: Mapping[str, Table]) -> Iterator[None]:
    with connection.constraint_checks_disabled(), connection.cursor() as cursor:
        # A database that is thrown away if we die needs no care for that.
        cursor.execute("PRAGMA synchronous = OFF")
        with transaction.atomic():
            for name in tables:
                cursor.execute(f"DELETE FROM {_q(name)}")  # noqa: S608 - names of our models
            yield
        if broken := cursor.execute("PRAGMA foreign_key_check").fetchone():
            raise BackupError(
                f"a row of {broken[0]} refers to one of {broken[2]}: none"
            )


def _insert(table: Table, rows: Iterator[Row]) -> None:
    places = ", ".join(["%s"] * len(table.columns))
    statement = f"INSERT INTO {_q(table.name)} ({_names(table)}) VALUES ({places})"  # noqa: S608 - names of our models
    ways = [
        (index, _TO_SQLITE[column.kind])
        for index, column in enumerate(table.columns)
        if column.kind in _TO_SQLITE
    ]
    with connection.cursor() as cursor:
        for batch in batched(rows, ROWS_AT_ONCE):
            cursor.executemany(statement, [_for_sqlite(row, ways) for row in batch])


def _for_sqlite(row: Row, ways: list[tuple[int, Callable[[Any], Any]]]) -> Row:
    for index, convert in ways:
        if row[index] is not None:
            row[index] = convert(row[index])
    return row


def _moment(text: str) -> str:
    moment = datetime.fromisoformat(text).replace(tzinfo=None)
    # As Django writes it, or a comparison of texts would fail.
    return str(moment)


def _undashed(text: str) -> str:
    return text.replace("-", "")


_TO_SQLITE: dict[str, Callable[[Any], Any]] = {
    "uuid": _undashed,
    "time": _moment,
    "bytes": bytes.fromhex,
}


def _count_on(table: Table, last_id: int) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                # A table that never had a row begins at 1, not after it.
                "SELECT setval(pg_get_serial_sequence(%s, %s)::regclass, %s, %s)",
                [_q(table.name), table.serial, max(last_id, 1), last_id > 0],
            )
            return
        cursor.execute("DELETE FROM sqlite_sequence WHERE name = %s", [table.name])
        cursor.execute(
            "INSERT INTO sqlite_sequence VALUES (%s, %s)", [table.name, last_id]
        )
