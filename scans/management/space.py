"""What a database does with the space of deleted rows, and what helps."""

from __future__ import annotations

from django.db import connection

# Below this nobody would see a difference.
WORTH_BYTES = 50 << 20
WORTH_ROWS = 10_000


def advice() -> str:
    """Return one sentence for who has just deleted much; '' where nothing helps."""
    if connection.vendor == "sqlite":
        free = _pragma("freelist_count") * _pragma("page_size")
        if free < WORTH_BYTES:
            return ""
        return (
            f"{free / 1e6:.0f} MB of the database file are free for new rows. "
            "`sentrascan prune --vacuum` gives them back to the disk; it needs as "
            "much again while it works, and nobody can write meanwhile."
        )
    dead = _dead_rows()
    if dead < WORTH_ROWS:
        return ""
    return (
        f"About {dead} deleted rows still take space. PostgreSQL uses it again by "
        "itself; `sentrascan prune --vacuum` does that now, while all goes on. Only "
        "`VACUUM FULL` makes the files smaller: it locks each table."
    )


def vacuum() -> None:
    """Make the space of deleted rows usable; call it outside a transaction."""
    with connection.cursor() as cursor:
        is_sqlite = connection.vendor == "sqlite"
        cursor.execute("VACUUM" if is_sqlite else "VACUUM (ANALYZE)")


def _dead_rows() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(sum(n_dead_tup), 0) FROM pg_stat_user_tables")
        return int(cursor.fetchone()[0])


def _pragma(name: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {name}")
        return int(cursor.fetchone()[0])
