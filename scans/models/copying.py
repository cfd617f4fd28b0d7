"""Many rows at once, by the quickest way that the database knows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any

import orjson
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, JSONField, Model, QuerySet
from psycopg.types.json import Jsonb

# Below it a COPY saves nothing.
COPY_ABOVE = 1_000
BATCH = 1_000
_PLAIN = (Field.get_db_prep_save, Field.get_db_prep_value)


class CopyingQuerySet[Row: Model](QuerySet[Row]):
    def insert_many(self, rows: Sequence[Row]) -> None:
        """Insert new rows: what `bulk_create` inserts, six times as fast when many.

        In the transaction that is open. The objects learn nothing from the database:
        their keys and defaults must be set, as Python defaults are.
        """
        connection = connections[self.db]
        if connection.vendor == "postgresql" and len(rows) > COPY_ABOVE:
            _copy(connection, self.model._meta.concrete_fields, rows)
        else:
            self.bulk_create(rows, batch_size=BATCH)


def _copy(
    connection: BaseDatabaseWrapper,
    fields: Sequence[Field[Any, Any]],
    rows: Sequence[Model],
) -> None:
    quote = connection.ops.quote_name
    columns = ", ".join(quote(str(field.column)) for field in fields)
    table = quote(rows[0]._meta.db_table)
    # "varchar(50)": a type is looked up without its length.
    types = [str(field.db_type(connection)).partition("(")[0] for field in fields]
    ways = [_way(field, connection) for field in fields]
    statement = f"COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)"
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        copy.set_types(types)
        for row in rows:
            copy.write_row([prepare(read(row)) for read, prepare in ways])


def _way(
    field: Field[Any, Any], connection: BaseDatabaseWrapper
) -> tuple[Callable[[Model], Any], Callable[[Any], Any]]:
    """Return how a field's value is read and made one of the database.

    As `bulk_create` does, but for the calls that only lead to the next one.
    """
    kind = type(field)
    read: Callable[[Model], Any] = partial(field.pre_save, add=True)
    if kind.pre_save is Field.pre_save:
        read = attrgetter(field.attname)
    prepare: Callable[[Any], Any] = partial(
        field.get_db_prep_save, connection=connection
    )
    if (kind.get_db_prep_save, kind.get_db_prep_value) == _PLAIN:
        prepare = field.get_prep_value
    elif kind is JSONField:
        prepare = _json
    return read, prepare


def _json(value: Any) -> Jsonb | None:
    return None if value is None else Jsonb(value, dumps=_dumps)


def _dumps(value: Any) -> bytes | str:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        # Integers beyond 64 bits, half a surrogate: as an INSERT would be told.
        return json.dumps(value)
