"""A restore on PostgreSQL: a second database, and two renames in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from scans.backups.failures import BackupError
from scans.backups.places import pointed_at

# A number for the database that is built: who builds another one is in nobody's way.
_LOCK = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
# Each waits up to 5 s for sessions that slipped in.
SWAP_ATTEMPTS = 12
_NAME_BYTES = 63


class PostgresPlace:
    """The database of `DATABASE_URL`, seen from another one of its server."""

    def __init__(self) -> None:
        self.name = str(connection.settings_dict["NAME"])
        stem = self.name[: _NAME_BYTES - len("_before_restore")]
        self.building_name = f"{stem}_restoring"
        self.before_name = f"{stem}_before_restore"
        self._outside: BaseDatabaseWrapper = connection.copy("outside")
        self._outside.settings_dict["NAME"] = "postgres"

    @contextmanager
    def alone(self) -> Iterator[None]:
        try:
            with self._outside.cursor() as cursor:
                cursor.execute(_LOCK, [self.building_name])
                if not cursor.fetchone()[0]:
                    raise BackupError("another restore is at work on this database")
            yield
        finally:
            self._outside.close()

    def is_there(self) -> bool:
        return self._exists(self.name)

    @contextmanager
    def building(self) -> Iterator[None]:
        self._drop(self.building_name)
        self._create()
        try:
            with pointed_at(self.building_name):
                yield
        except BaseException:
            self._drop(self.building_name)
            raise

    def swap(self) -> str | None:
        connection.close()
        is_there = self.is_there()
        if is_there:
            self._drop(self.before_name)
        for attempt in range(SWAP_ATTEMPTS):
            try:
                self._swap_once(is_there=is_there)
                break
            except OperationalError as error:
                if attempt == SWAP_ATTEMPTS - 1:
                    raise BackupError(
                        f"{self.name} cannot be renamed while others use it: {error}"
                    ) from error
        return self.before_name if is_there else None

    def _swap_once(self, *, is_there: bool) -> None:
        with self._outside.cursor() as cursor:
            self._end_sessions(cursor)
            # Both or none.
            cursor.execute("BEGIN")
            try:
                if is_there:
                    self._rename(cursor, self.name, self.before_name)
                self._rename(cursor, self.building_name, self.name)
                cursor.execute("COMMIT")
            except BaseException:
                cursor.execute("ROLLBACK")
                raise

    def _end_sessions(self, cursor: CursorWrapper) -> None:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname IN (%s, %s) AND pid <> pg_backend_pid()",
            [self.name, self.building_name],
        )

    def _rename(self, cursor: CursorWrapper, old: str, new: str) -> None:
        cursor.execute(f"ALTER DATABASE {_q(old)} RENAME TO {_q(new)}")

    def _exists(self, name: str) -> bool:
        with self._outside.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            return cursor.fetchone() is not None

    def _drop(self, name: str) -> None:
        with self._outside.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {_q(name)} WITH (FORCE)")

    def _create(self) -> None:
        with self._outside.cursor() as cursor:
            cursor.execute(
                "SELECT format(' LC_COLLATE %%L LC_CTYPE %%L', datcollate, datctype)"
                " FROM pg_database WHERE datname = %s",
                [self.name],
            )
            row = cursor.fetchone()
            try:
                # An own template: whatever was added to the usual one is not wanted.
                cursor.execute(
                    f"CREATE DATABASE {_q(self.building_name)} TEMPLATE template0"
                    f" ENCODING 'UTF8'{row[0] if row else ''}"
                )
            except DatabaseError as error:
                reason = " ".join(str(error).split())
                raise BackupError(
                    f"a restore makes a second database, which is refused ({reason});"
                    " ALTER ROLE ... CREATEDB allows it"
                ) from error


def _q(name: str) -> str:
    return connection.ops.quote_name(name)
