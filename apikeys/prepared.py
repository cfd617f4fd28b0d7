"""Statements that PostgreSQL parses once a connection, and plans once where it may.

All others are planned for their values, each time: one plan for any status walked a
million completed scans for the few failed ones.
"""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

# Fewer, and a statement would be prepared that nobody asks again.
REPEATS = 5


class preparing:  # noqa: N801 - read as a verb: with ... preparing(connection)
    """What runs meanwhile is prepared at its fifth time; `connection` is open.

    Only for a statement that one plan serves, whatever its values. A class, as each
    request uses it twice: a generator takes four times as long.
    """

    __slots__ = ("_raw",)

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        is_postgresql = connection.vendor == "postgresql"
        self._raw = connection.connection if is_postgresql else None

    def __enter__(self) -> None:
        if self._raw is not None:
            # https://www.psycopg.org/psycopg3/docs/advanced/prepare.html
            self._raw.prepare_threshold = REPEATS

    def __exit__(self, *_: object) -> None:
        if self._raw is not None:
            self._raw.prepare_threshold = None
