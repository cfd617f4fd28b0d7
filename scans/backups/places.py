"""Where a restored installation is made, and how it takes the place of the present one.

It is made in a database of its own beside the present one. Until the swap, which is one
transaction, nothing of the present one is touched: who is killed leaves it as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from django.db import DatabaseError, connection

from scans.backups.tables import LEFT_OUT, SEEDED


class Place(Protocol):
    """Where the installation's database is."""

    def alone(self) -> AbstractContextManager[None]:
        """Keep other restores away; raise `BackupError` while there is one."""

    def is_there(self) -> bool:
        """Tell whether there is a database at all, whatever is in it."""

    def building(self) -> AbstractContextManager[None]:
        """Make an empty database and let all queries of the block go there.

        It goes with a block that fails, and what a killed restore left goes first.
        """

    def swap(self) -> str | None:
        """Put the new database in the place of the present one, which gets another
        name: that is returned, None where there was none. Raises `BackupError`."""


@contextmanager
def pointed_at(name: str) -> Iterator[None]:
    """Let every query of this process go to the database `name`."""
    before = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before


def contents() -> str:
    """Return the name of a table that holds somebody's rows, "" where none does.

    Raises `DatabaseError` where that cannot be told.
    """
    with connection.cursor() as cursor:
        for name in sorted(connection.introspection.table_names(cursor)):
            condition = SEEDED.get(name, "true")
            if name in LEFT_OUT or not condition:
                continue
            table = connection.ops.quote_name(name)
            cursor.execute(f"SELECT 1 FROM {table} WHERE {condition} LIMIT 1")  # noqa: S608 - names and conditions of ours
            if cursor.fetchone():
                return name
    return ""


def damage() -> str:
    """Return why the present database cannot be read, "" where it can."""
    try:
        contents()
    except DatabaseError as error:
        return " ".join(str(error).split())
    finally:
        connection.close()
    return ""
