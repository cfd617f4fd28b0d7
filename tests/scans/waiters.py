"""Waiting until another connection waits for what this one holds."""

from __future__ import annotations

import time

from django.db import connection

MOST_SECONDS = 60


def wait_for_a_waiter() -> None:
    """Return once a connection waits for a lock of this one's transaction."""
    end = time.monotonic() + MOST_SECONDS
    with connection.cursor() as cursor:
        while time.monotonic() < end:
            # pg_stat_activity would say the same until this transaction ends, and
            # another test's database on the same server has waiters of its own.
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE NOT granted "
                "AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
            )
            if cursor.fetchone()[0]:
                return
            time.sleep(0.02)
    raise AssertionError("nobody waits")
