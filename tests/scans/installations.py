"""Installations of a test's own: a database, a data directory, and our commands.

On PostgreSQL each is a database of the session's server, on SQLite a file.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from urllib.parse import urlsplit

import psycopg

from tests.project.running import ROOT, environment, sentrascan

POSTGRESQL, SQLITE = "postgresql", "sqlite"


@dataclass
class Installation:
    """`vendor` is `POSTGRESQL` or `SQLITE`, `url` its DATABASE_URL."""

    vendor: str
    url: str
    data: Path
    env: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        self.env = environment(self.data, DATABASE_URL=self.url)

    @property
    def database(self) -> str:
        return self.url.rpartition("/")[2]

    def run(
        self, *arguments: str | Path, typed: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return sentrascan(*arguments, env=self.env, typed=typed)

    def done(self, *arguments: str | Path) -> str:
        """Run a command that must succeed; return all that it said."""
        result = self.run(*arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout + result.stderr

    def fill(self, count: int = 20) -> None:
        subprocess.run(
            [sys.executable, "-m", "tests.scans.filling", str(count)],
            check=True,
            cwd=ROOT,
            env=self.env,
        )

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of one statement, which is committed."""
        if self.vendor == SQLITE:
            with closing(sqlite3.connect(self.path, isolation_level=None)) as database:
                # What the shell of SQLite has, and Python's module has not.
                database.create_function("regexp", 2, _matches, deterministic=True)
                database.execute("PRAGMA foreign_keys = ON")
                return database.execute(sql).fetchall()
        with psycopg.connect(self.url, autocommit=True) as connection:
            found = connection.execute(sql)
            return found.fetchall() if found.description else []

    @property
    def path(self) -> Path:
        return Path(self.url.removeprefix("sqlite:///"))

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return every row of every table, sorted, as the database gives it."""
        names = (
            "SELECT name FROM sqlite_schema WHERE type = 'table'"
            if self.vendor == SQLITE
            else "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        )
        return {
            name: sorted(self.query(f'SELECT * FROM "{name}"'), key=repr)  # noqa: S608 - our own names
            for (name,) in self.query(names)
            if not name.startswith("sqlite_")
        }

    def stored(self) -> dict[str, bytes]:
        """Return the stored uploads by their place."""
        root = self.data / "uploads"
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in sorted(root.glob("??/*"))
        }


@contextmanager
def installation(
    vendor: str, data: Path, *, is_migrated: bool = True, has_key: bool = False
) -> Iterator[Installation]:
    """Make an installation, which goes at the end of the block.

    `has_key`: it has one API key, called `mine`.
    """
    data.mkdir(parents=True, exist_ok=True)
    if vendor == SQLITE:
        one = Installation(vendor, f"sqlite:///{data / 'sentrascan.sqlite3'}", data)
        if is_migrated:
            shutil.copy(made(vendor, has_key=has_key).path, one.path)
        yield one
        return
    name = f"installation_{uuid.uuid4().hex[:12]}"
    like = made(vendor, has_key=has_key).database if is_migrated else "template1"
    server(f"CREATE DATABASE {name} TEMPLATE {like}")
    try:
        yield Installation(vendor, server_url(name), data)
    finally:
        for (database,) in server(
            f"SELECT datname FROM pg_database WHERE starts_with(datname, '{name}')"  # noqa: S608 - our own name
        ):
            server(f'DROP DATABASE "{database}" WITH (FORCE)')


@cache
def made(vendor: str, *, has_key: bool) -> Installation:
    """Return one to copy, made by the real commands once a session.

    Nobody writes to it afterwards. It goes with the session's server and directory.
    """
    folder = Path(mkdtemp(prefix="like-", dir=os.environ["SENTRASCAN_TEST_DIR"]))
    if vendor == SQLITE:
        url = f"sqlite:///{folder / 'sentrascan.sqlite3'}"
        if has_key:
            shutil.copy(made(vendor, has_key=False).path, folder / "sentrascan.sqlite3")
    else:
        name = f"like_{uuid.uuid4().hex[:12]}"
        like = made(vendor, has_key=False).database if has_key else "template1"
        server(f"CREATE DATABASE {name} TEMPLATE {like}")
        url = server_url(name)
    one = Installation(vendor, url, folder)
    if has_key:
        one.done("auth", "create", "--name=mine", "--role=admin")
    else:
        one.done("migrate", "--verbosity=0")
    return one


def server_url(database: str) -> str:
    """Return the address of a database of the session's own server."""
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}").geturl()


def server(sql: str) -> list[tuple[Any, ...]]:
    """Run one statement beside all databases; return its rows."""
    with psycopg.connect(server_url("postgres"), autocommit=True) as connection:
        found = connection.execute(sql)  # type: ignore[call-overload] # any text
        return found.fetchall() if found.description else []


def _matches(pattern: str, text: str | None) -> bool:
    return text is not None and re.search(pattern, text) is not None


# Written by the restore itself, or by whoever runs: not part of what is compared.
OWN = {"django_session", "workers", "result_claims", "django_migrations"}


def settled(rows: dict[str, Any]) -> dict[str, Any]:
    """Return what a restore must give back exactly, row by row."""
    return {
        name: [row for row in table if "installation." not in repr(row)]
        for name, table in rows.items()
        if name not in OWN | {"scans"}
    }
