"""The start of a container: the database is migrated once, however many start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.conftest import IS_SQLITE

APP = Path(__file__).resolve().parents[2] / "deploy" / "app"
ENTRYPOINT = [sys.executable, "-I", APP / "entrypoint.py"]

pytestmark = pytest.mark.skipif(IS_SQLITE, reason="replicas share a PostgreSQL")


@pytest.fixture
def empty_database() -> Iterator[str]:
    """Give the address of a new database on the session's server."""
    server = urlsplit(os.environ["DATABASE_URL"])
    name = f"start_{uuid.uuid4().hex[:8]}"
    everywhere = server._replace(path="/postgres").geturl()
    with psycopg.connect(everywhere, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield server._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def environment(tmp_path: Path, url: str) -> dict[str, str]:
    """Return what a container of this code has around it; its data in `tmp_path`."""
    listed = subprocess.run(
        [sys.executable, APP / "list_migrations.py"],
        check=True,
        capture_output=True,
        text=True,
    )
    known = tmp_path / "migrations.txt"
    known.write_text(listed.stdout)
    return {
        **os.environ,
        "DATABASE_URL": url,
        "SENTRASCAN_MIGRATIONS": str(known),
        "SENTRASCAN_DATA_DIR": str(tmp_path),
    }


def test_of_many_replicas_one_migrates(tmp_path: Path, empty_database: str) -> None:
    surroundings = environment(tmp_path, empty_database)
    replicas = [
        subprocess.Popen(
            [*ENTRYPOINT, sys.executable, "-c", "print('started')"],
            env=surroundings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    said = [replica.communicate(timeout=120) for replica in replicas]
    assert [replica.returncode for replica in replicas] == [0, 0, 0], said
    assert [out for out, _ in said] == ["started\n"] * 3
    lines = [json.loads(line) for _, log in said for line in log.splitlines()]
    [line] = lines
    known = Path(surroundings["SENTRASCAN_MIGRATIONS"]).read_text().splitlines()
    assert line["message"] == f"applied {len(known)} migrations to the database"
    with psycopg.connect(empty_database) as connection:
        rows = connection.execute("SELECT app, name FROM django_migrations").fetchall()
    assert sorted(f"{app} {name}" for app, name in rows) == sorted(known)


def test_a_failure_is_one_line_of_json_and_ends_the_start(tmp_path: Path) -> None:
    missing = tmp_path / "url"
    ended = subprocess.run(
        [*ENTRYPOINT, "true"],
        env={
            **os.environ,
            "DATABASE_URL_FILE": str(missing),
            "SENTRASCAN_DATA_DIR": str(tmp_path),
        },
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert json.loads(line)["level"] == "ERROR"
    assert "DATABASE_URL_FILE" in json.loads(line)["message"]
