"""`migrate`, Django's own, by one process at a time wherever it is called.

Replicas that start together, `make run`, `restore` and a person at a shell all call it.
Django itself has no lock: of two at once the second fails at a table that the first is
just making.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.commands import migrate
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

# Any number that nobody else locks in this database: "migrates" in ASCII. The start of
# a container has another, which it holds while it calls us.
LOCK = int.from_bytes(b"migrates", "big")


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        if options["plan"] or options["check_unapplied"]:
            super().handle(*args, **options)  # changes nothing
            return
        # What is missing is looked up inside: who waited finds nothing left to do.
        with alone(connections[options["database"]]):
            super().handle(*args, **options)


@contextmanager
def alone(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Wait until no other process migrates this database, and keep others waiting."""
    if connection.vendor != "postgresql":
        with (Path(settings.DATA_DIR) / "migrate.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        return
    # Of the session that migrates: where that is lost, so is the lock.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
    try:
        yield
    finally:
        if connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
