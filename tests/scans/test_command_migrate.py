"""`migrate` at several places at once: each migration is applied by one of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.conftest import IS_SQLITE
from tests.project import running
from tests.project.running import ROOT
from tests.project.test_start import ENTRYPOINT, empty_database, environment

__all__ = ["empty_database"]

MANAGE = [sys.executable, ROOT / "manage.py"]
# As `make run` does before it starts anything.
LOCAL = (
    "import os, django\n"
    "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'sentrascan_project.settings')\n"
    "django.setup()\n"
    "from sentrascan_project import local\n"
    "local.prepare_database()\n"
)


def at_once(commands: list[list[object]], env: dict[str, str]) -> list[str]:
    """Run all of them together; return what each printed."""
    started = [
        subprocess.Popen(
            command,
            env=env,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in commands
    ]
    said = [one.communicate(timeout=240)[0] for one in started]
    assert [one.returncode for one in started] == [0] * len(started), said
    return said


def who_applied(said: list[str]) -> list[int]:
    return [number for number, text in enumerate(said) if "Applying scans.0001" in text]


@pytest.mark.skipif(IS_SQLITE, reason="replicas share a PostgreSQL")
def test_replicas_a_local_run_and_a_person_migrate_once(
    tmp_path: Path, empty_database: str
) -> None:
    commands = [
        [*MANAGE, "migrate"],
        [*ENTRYPOINT, "true"],
        [sys.executable, "-c", LOCAL],
        [*MANAGE, "migrate"],
    ]
    at_once(commands, environment(tmp_path, empty_database))
    with psycopg.connect(empty_database) as connection:
        rows = connection.execute("SELECT app, name FROM django_migrations").fetchall()
        locks = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
            " AND database = (SELECT oid FROM pg_database"
            " WHERE datname = current_database())"
        ).fetchone()
    assert len(rows) == len(set(rows)) > 10
    assert locks == (0,)


@pytest.mark.skipif(IS_SQLITE, reason="replicas share a PostgreSQL")
def test_who_waited_finds_nothing_left_to_do(
    tmp_path: Path, empty_database: str
) -> None:
    env = environment(tmp_path, empty_database)
    said = at_once([[*MANAGE, "migrate"]] * 3, env)
    assert len(who_applied(said)) == 1
    assert sum("No migrations to apply" in text for text in said) == 2


@pytest.mark.sqlite
def test_on_sqlite_too(tmp_path: Path) -> None:
    said = at_once([[*MANAGE, "migrate"]] * 3, running.environment(tmp_path / "data"))
    assert len(who_applied(said)) == 1
    assert sum("No migrations to apply" in text for text in said) == 2
