"""Queries whose SQL is built once: Django builds it anew for each request.

For a verdict that took four times as long as its answer by PostgreSQL, which spent six
times as long on planning it as on running it: it plans these once, too. Only queries of
dicts (`values()`) or plain rows (`values_list()`), and on PostgreSQL only: SQLite
stores times and UUIDs as texts, so that values differ from what was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

import orjson
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.models import QuerySet
from django.db.models.query import ValuesListIterable
from psycopg import adapters
from psycopg.pq import Format

from apikeys.prepared import preparing

type Rows[Row] = QuerySet[Any, Row]
type Convert = Callable[[Any, Any, Any], Any]

MAX_REMEMBERED = 512
# psycopg's own. Django's calls it and then writes UTC over the zone, which is UTC: for
# 150 times of a page that was a fifth of what the page cost.
_READ_TIME = adapters.get_loader(adapters.types["timestamptz"].oid, Format.TEXT)


@dataclass(frozen=True, slots=True)
class Statement:
    """One built query: its text and values, and how its rows become what it gives."""

    sql: str
    parameters: Sequence[Any] | None
    names: tuple[str, ...]
    converters: tuple[tuple[int, Any, tuple[Convert, ...]], ...]
    gives_dicts: bool

    @classmethod
    def of(cls, rows: Rows[Any], as_written: Collection[str] = ()) -> Self:
        """Build the SQL; JSON columns of `as_written` become `orjson.Fragment`s."""
        query = rows.query
        compiler = query.get_compiler(connection=connection)
        sql, parameters = compiler.as_sql()
        names = tuple(query.selected or ())
        columns = [column for column, _, _ in compiler.select]
        if len(names) != len(columns):
            raise TypeError("the query must name all of its columns: values(...)")
        found = compiler.get_converters(columns)
        converters = (
            (i, each, (_written,) if names[i] in as_written else tuple(c))
            for i, (c, each) in found.items()
        )
        gives_dicts = not issubclass(rows._iterable_class, ValuesListIterable)
        return cls(sql, parameters, names, tuple(converters), gives_dicts)

    def with_values(self) -> Self:
        """Return it with its values written into the SQL: its plan is for them."""
        connection.ensure_connection()
        compose = connection.ops.compose_sql  # type: ignore[attr-defined]  # PostgreSQL's has it
        sql = compose(self.sql, self.parameters)
        return replace(self, sql=sql, parameters=None)

    def read(self, parameters: Sequence[Any] | None) -> list[Any]:
        """Return dicts for `values()`, sequences for `values_list()`."""
        # This thread's: each name of `connection` would look for it again.
        here = connections[DEFAULT_DB_ALIAS]
        with here.cursor() as cursor, preparing(here):
            cursor.cursor.adapters.register_loader("timestamptz", _READ_TIME)
            cursor.execute(self.sql, parameters)
            found = [list(row) for row in cursor.fetchall()]
        for place, expression, converters in self.converters:
            for convert in converters:
                for row in found:
                    row[place] = convert(row[place], expression, here)
        if self.gives_dicts:
            return [dict(zip(self.names, row, strict=True)) for row in found]
        return found


def _written(value: str | None, *_: object) -> orjson.Fragment | None:
    return None if value is None else orjson.Fragment(value)


class Prepared:
    """A query that is asked again and again with other texts and times.

    One plan must serve all of them.
    `build` makes it of named values and must look at nothing else that changes, not
    at a clock either. Each value must reach the SQL as it is.
    """

    def __init__(self, build: Callable[..., Rows[dict[str, Any]]]) -> None:
        self._build = build
        self._built: tuple[Statement, tuple[str | None, ...]] | None = None

    def rows(self, **values: str | datetime) -> list[dict[str, Any]]:
        if connection.vendor != "postgresql":
            return list(self._build(**values))
        if self._built is None:
            self._built = self._prepare(values)
        statement, slots = self._built
        fixed = zip(slots, statement.parameters or (), strict=True)
        return statement.read([values[s] if s else value for s, value in fixed])

    def _prepare(
        self, values: dict[str, str | datetime]
    ) -> tuple[Statement, tuple[str | None, ...]]:
        marks: dict[str, _Text | _Time] = {
            name: _Text(name)
            if isinstance(value, str)
            else _Time.fromtimestamp(0, tz=UTC)
            for name, value in values.items()
        }
        statement = Statement.of(self._build(**marks))
        slots = tuple(_slot(value, marks) for value in statement.parameters or ())
        if missing := values.keys() - set(slots):
            raise TypeError(f"not found again in the SQL: {', '.join(sorted(missing))}")
        return statement, slots


class _Text(str):
    __slots__ = ()


class _Time(datetime):
    __slots__ = ()


def _slot(value: object, marks: dict[str, _Text | _Time]) -> str | None:
    return next((name for name, mark in marks.items() if mark is value), None)


class Remembered:
    """Statements of whole queries, by a name that says all that they depend on."""

    def __init__(self) -> None:
        self._statements: dict[Hashable, Statement] = {}

    def rows[Row](
        self, name: Hashable, rows: Rows[Row], as_written: Collection[str] = ()
    ) -> list[Row]:
        """Return the rows of a query that is always the same under this name.

        JSON columns of `as_written` may come as texts that orjson takes as they are.
        """
        if connection.vendor != "postgresql":
            # A copy: a query that has been read would answer from its memory.
            return list(rows.all())
        statement = self._statements.get(name)
        if statement is None:
            statement = Statement.of(rows, as_written).with_values()
            if len(self._statements) >= MAX_REMEMBERED:
                self._statements = {}
            self._statements[name] = statement
        return statement.read(statement.parameters)
