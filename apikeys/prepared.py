"""Statements that PostgreSQL parses once a connection, and plans once where it may.

All others are planned for their values, each time: one plan for any status walked a
million completed scans for the few failed ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db.backends.base.base import BaseDatabaseWrapper

# Fewer, and a statement would be prepared that nobody asks again.
REPEATS = 5


@contextmanager
def preparing(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """What runs meanwhile is prepared at its fifth time; `connection` is open.

    Only for a statement that one plan serves, whatever its values.
    """
    raw = connection.connection
    if connection.vendor != "postgresql":
        yield
        return
    # https://www.psycopg.org/psycopg3/docs/advanced/prepare.html
    raw.prepare_threshold = REPEATS
    try:
        yield
    finally:
        raw.prepare_threshold = None
