"""Reads all tables as they were at one moment, whatever is written meanwhile.

A row is a list in the order of the table's columns, of None, bool, int, float and str.
It is the same on both databases: ids with dashes, times as 2026-11-23T16:09:00.123456Z,
bytes as hexadecimal digits, JSON as the text that the database has.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from scans.backups.tables import Column, Table

type Row = list[Any]
type Migrations = frozenset[tuple[str, str]]

_ROWS_AT_ONCE = 1_000
_TO_THE_MICROSECOND = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'


class Snapshot(Protocol):
    """One moment of a database."""

    def migrations(self) -> Migrations:
        """Return the applied migrations as (app, name)."""

    def count(self, table: Table) -> int: ...

    def rows(self, table: Table) -> Iterator[Row]:
        """Yield every row, by primary key, which both databases order alike."""

    def last_id(self, table: Table) -> int | None:
        """Return the last number that was given out, None where none was."""


@contextmanager
def snapshot() -> Iterator[Snapshot]:
    """Hold one moment of the database; nobody who writes waits for us."""
    if connection.vendor == "sqlite":
        with _sqlite_snapshot(str(connection.settings_dict["NAME"])) as held:
            yield held
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield _Postgres(cursor)


# --- PostgreSQL


class _Postgres:
    def __init__(self, cursor: CursorWrapper) -> None:
        self._cursor = cursor

    def migrations(self) -> Migrations:
        self._cursor.execute("SELECT app, name FROM django_migrations")
        return frozenset(self._cursor.fetchall())

    def count(self, table: Table) -> int:
        self._cursor.execute(f"SELECT count(*) FROM {_q(table.name)}")  # noqa: S608 - names of our models
        return int(self._cursor.fetchone()[0])

    def rows(self, table: Table) -> Iterator[Row]:
        columns = ", ".join(_expression(column) for column in table.columns)
        # Both databases order text alike only by its bytes.
        order = _q(table.key.name)
        if table.key.kind == "text":  # a day has no collation of its own
            order = f'{_expression(table.key)} COLLATE "C"'
        query = f"SELECT {columns} FROM {_q(table.name)} ORDER BY {order}"  # noqa: S608 - names of our models
        copying = self._cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT BINARY)")
        with connection.wrap_database_errors, copying as copy:
            copy.set_types([_TYPES.get(one.kind, "text") for one in table.columns])
            for row in copy.rows():
                yield list(row)

    def last_id(self, table: Table) -> int | None:
        self._cursor.execute(
            "SELECT last_value FROM pg_sequences WHERE format('%%I.%%I', schemaname,"
            " sequencename) = pg_get_serial_sequence(%s, %s)",
            [_q(table.name), table.serial],
        )
        found = self._cursor.fetchone()
        return found[0] if found else None


_TYPES = {"int": "int8", "float": "float8", "bool": "bool"}


def _expression(column: Column) -> str:
    name = _q(column.name)
    match column.kind:
        case "bool":
            return name
        case "int":
            return f"{name}::int8"
        case "float":
            return f"{name}::float8"
        case "time":
            return f"to_char({name} AT TIME ZONE 'UTC', '{_TO_THE_MICROSECOND}')"
        case "ip":
            return f"host({name})"
        case "bytes":
            return f"encode({name}, 'hex')"
        case _:
            return f"{name}::text"


def _q(name: str) -> str:
    return connection.ops.quote_name(name)


# --- SQLite


@contextmanager
def _sqlite_snapshot(path: str) -> Iterator[Snapshot]:
    # Not Django's connection: its transactions take the write lock at once.
    with closing(read_only(Path(path))) as database:
        database.execute("BEGIN")
        # The moment is that of the first read.
        database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        yield _Sqlite(database)


def read_only(path: Path) -> sqlite3.Connection:
    """Return a connection without transactions of its own that cannot write."""
    # mode=ro could not open a database whose write-ahead log is not there yet.
    address = f"file:{quote(str(path))}?mode=rw"
    database = sqlite3.connect(address, uri=True, isolation_level=None, timeout=20)
    database.execute("PRAGMA query_only = ON")
    return database


class _Sqlite:
    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def migrations(self) -> Migrations:
        return frozenset(
            self._database.execute("SELECT app, name FROM django_migrations")
        )

    def count(self, table: Table) -> int:
        query = f"SELECT count(*) FROM {_q(table.name)}"  # noqa: S608 - names of our models
        return int(self._database.execute(query).fetchone()[0])

    def rows(self, table: Table) -> Iterator[Row]:
        columns = ", ".join(_q(column.name) for column in table.columns)
        query = f"SELECT {columns} FROM {_q(table.name)} ORDER BY {_q(table.key.name)}"  # noqa: S608 - names of our models
        ways = [
            (index, _FROM_SQLITE[column.kind])
            for index, column in enumerate(table.columns)
            if column.kind in _FROM_SQLITE
        ]
        found = self._database.execute(query)
        while batch := found.fetchmany(_ROWS_AT_ONCE):
            for values in batch:
                row = list(values)
                for index, convert in ways:
                    if row[index] is not None:
                        row[index] = convert(row[index])
                yield row

    def last_id(self, table: Table) -> int | None:
        found = self._database.execute(
            "SELECT seq FROM sqlite_sequence WHERE name = ?", [table.name]
        ).fetchone()
        return int(found[0]) if found else None


def _dashed(text: str) -> str:
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _moment(text: str) -> str:
    # Django writes microseconds or none, the database's own clock milliseconds.
    return datetime.fromisoformat(text).isoformat(timespec="microseconds") + "Z"


_FROM_SQLITE: dict[str, Callable[[Any], Any]] = {
    "uuid": _dashed,
    "time": _moment,
    "bool": bool,
    "bytes": bytes.hex,
}
