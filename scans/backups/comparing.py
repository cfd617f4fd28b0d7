"""Whether the rows of a table are those that were read, whatever their order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from scans.backups.reading import Row
from scans.backups.tables import Table

_MODULUS = 1 << 256


@dataclass(slots=True)
class Sum:
    """The number of rows and the sum of their digests: equal for equal rows.

    `is_spelled_alike`: JSON is compared as text, not by what it means. Two databases of
    one kind give it back as they got it; PostgreSQL orders keys, SQLite does not.
    """

    table: Table
    is_spelled_alike: bool
    rows: int = 0
    total: int = 0

    def add(self, row: Row) -> None:
        if not self.is_spelled_alike:
            row = [
                _meaning(value)
                if column.kind == "json" and value is not None
                else value
                for column, value in zip(self.table.columns, row, strict=True)
            ]
        digest = hashlib.sha256(orjson.dumps(row)).digest()
        self.total = (self.total + int.from_bytes(digest, "big")) % _MODULUS
        self.rows += 1

    def passing(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Yield the rows, each added on its way."""
        for row in rows:
            self.add(row)
            yield row


def _meaning(text: str) -> str:
    value = json.loads(text, parse_int=_number, parse_float=_number)
    return json.dumps(value, sort_keys=True)


def _number(text: str) -> Any:
    # jsonb spells 1E+2 as 100.
    return f"number {Decimal(text).normalize():f}"
