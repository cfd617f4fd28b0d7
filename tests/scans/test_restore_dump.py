"""`restore` of what pg_dump wrote, by the real pg_dump and the real command."""

from __future__ import annotations

import gzip
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import IS_SQLITE
from tests.scans.installations import (
    POSTGRESQL,
    SQLITE,
    Installation,
    installation,
    settled,
)
from tests.scans.test_command_restore import comparable
from tests.servers import postgres_programs

pytestmark = pytest.mark.skipif(IS_SQLITE, reason="it is about a PostgreSQL server")


def dumped(one: Installation, *options: str) -> bytes:
    programs = postgres_programs()
    assert programs
    return subprocess.run(
        [programs / "pg_dump", *options, one.url], capture_output=True, check=True
    ).stdout


@pytest.fixture(scope="module")
def dump(
    origins: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Installation, Path, dict[str, Any]]:
    """A filled installation, its dump, and its rows then."""
    origin, _file, _rows = origins[POSTGRESQL]
    rows = origin.tables()
    file = tmp_path_factory.mktemp("dump") / "whole.sql"
    file.write_bytes(dumped(origin))
    return origin, file, rows


def test_it_gives_back_every_row(
    dump: tuple[Installation, Path, dict[str, Any]], tmp_path: Path
):
    origin, file, rows = dump
    packed = tmp_path / "sentrascan_latest.sql.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    with installation(POSTGRESQL, tmp_path / "other", is_migrated=False) as target:
        said = target.done("restore", packed, "--verify")
        assert "Restored a plain dump of a PostgreSQL" in said
        assert "each compared" in said
        assert settled(target.tables()) == settled(rows)
        assert comparable(target) == comparable(origin)
        # A dump has no stored bytes, and that is said.
        assert "The bytes of 3 uploads are not here" in said
        # Work that was cut off begins again.
        states = target.query("SELECT DISTINCT scan_status FROM scans ORDER BY 1")
        assert ("running",) not in states


def test_it_goes_into_sqlite_too(
    dump: tuple[Installation, Path, dict[str, Any]], tmp_path: Path
):
    origin, file, _rows = dump
    with installation(SQLITE, tmp_path / "other", is_migrated=False) as target:
        target.done("restore", file, "--verify")
        # Back again: what came through both is what it was.
        again = tmp_path / "again.zip"
        target.done("backup", again)
        with installation(POSTGRESQL, tmp_path / "third", is_migrated=False) as third:
            third.done("restore", again, "--verify")
            assert comparable(third) == comparable(origin)
        (highest,) = target.query("SELECT max(id) FROM auth_user")[0]
        target.done("user", "create", "--name=next", "--role=viewer")
        [(number,)] = target.query("SELECT id FROM auth_user WHERE username = 'next'")
        assert number == highest + 2


def test_what_was_shut_out_since_stays_out_and_numbers_go_on(tmp_path: Path):
    with installation(POSTGRESQL, tmp_path / "one") as one:
        for name in ("stays", "by-sql", "deleted"):
            one.done("auth", "create", f"--name={name}", "--role=admin")
        for name in ("ada", "gone"):
            one.done("user", "create", f"--name={name}", "--role=viewer")
        one.query("DELETE FROM auth_user_groups")
        one.query("DELETE FROM auth_user WHERE username = 'gone'")
        file = tmp_path / "keys.sql"
        file.write_bytes(dumped(one))
        one.query("UPDATE api_keys SET is_revoked = true WHERE name = 'by-sql'")
        one.query("DELETE FROM api_keys WHERE name = 'deleted'")
        refused = one.run("restore", file)
        assert refused.returncode == 3
        assert "--replace" in refused.stderr
        said = one.done("restore", file, "--replace", "--verify")
        assert "still revoked: by-sql, deleted." in said
        assert one.query("SELECT name FROM api_keys WHERE NOT is_revoked") == [
            ("stays",)
        ]
        one.done("user", "create", "--name=next", "--role=viewer")
        [(ada,)] = one.query("SELECT id FROM auth_user WHERE username = 'ada'")
        [(new,)] = one.query("SELECT id FROM auth_user WHERE username = 'next'")
        assert new == ada + 2


def test_not_one_statement_of_it_is_run(
    dump: tuple[Installation, Path, dict[str, Any]], tmp_path: Path
):
    _origin, file, rows = dump
    touched = tmp_path / "touched"
    evil = tmp_path / "evil.sql"
    evil.write_bytes(
        file.read_bytes().replace(
            b"SET statement_timeout = 0;\n",
            b"\\! touch %b\nCREATE TABLE public.evil (a int);\n"
            b"COPY (SELECT 1) TO PROGRAM 'touch %b';\n"
            % (bytes(touched), bytes(touched)),
            1,
        )
    )
    with installation(POSTGRESQL, tmp_path / "other", is_migrated=False) as target:
        target.done("restore", evil)
        assert not touched.exists()
        assert "evil" not in target.tables()
        assert settled(target.tables()) == settled(rows)


def older(text: bytes) -> bytes:
    return text.replace(
        b"-- Dumped by pg_dump version ", b"-- Dumped by pg_dump version 9.6 "
    )


def of_a_later_version(text: bytes) -> bytes:
    return text.replace(b"\tscans\t0001_", b"\tscans\t9001_", 1)


def with_a_bad_row(text: bytes) -> bytes:
    before, _, after = text.partition(b"COPY public.api_keys ")
    head, _, rows = after.partition(b"\n")
    return before + b"COPY public.api_keys " + head + b"\nx\ty\n" + rows


def with_an_id_twice(text: bytes) -> bytes:
    before, _, after = text.partition(b"COPY public.auth_user ")
    head, _, rows = after.partition(b"\n")
    row = rows.partition(b"\n")[0]
    return b"".join((before, b"COPY public.auth_user ", head, b"\n", row, b"\n", rows))


BROKEN: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "its end is missing": (
        lambda text: text[: len(text) - 200],
        "It is only the beginning of a dump",
    ),
    "it ends among rows": (
        lambda text: text[: text.index(b"COPY public.findings ") + 900],
        "It is only the beginning of a dump",
    ),
    "the packed one is cut": (
        lambda text: gzip.compress(text)[:-20],
        "is damaged",
    ),
    "a byte of the packed one is another": (
        lambda text: gzip.compress(text)[:-5] + b"xxxxx",
        "is damaged",
    ),
    "pg_dump was older than its server": (older, "which is older than its server"),
    "a later version": (of_a_later_version, "written by a newer one"),
    "a row has not its columns": (with_a_bad_row, "A row of api_keys cannot be read"),
    "a row is there twice": (with_an_id_twice, "Its rows cannot be written"),
}
OPTIONS = {
    "--inserts": "it was made with --inserts",
    "--format=custom": "`pg_restore -f` makes a plain dump of it",
    "--schema-only": "holds no SentraScan",
    "--data-only": "a dump of the data alone",
    "--table=scans": "holds no SentraScan",
    "--exclude-table=findings": "the table findings is not as its migrations say",
    "--encoding=LATIN1": "it is not in UTF-8",
}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory):
    with installation(POSTGRESQL, tmp_path_factory.mktemp("refusing")) as one:
        one.done("auth", "create", "--name=mine", "--role=admin")
        yield one


def refused(target: Installation, file: Path, reason: str) -> None:
    before = target.tables()
    result = target.run("restore", file, "--replace")
    assert result.returncode == 2, result.stdout
    assert reason.lower() in result.stderr.lower()
    assert "Nothing was changed." in result.stderr
    assert "Traceback" not in result.stderr
    assert target.tables() == before


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_dump_changes_nothing(
    dump: tuple[Installation, Path, dict[str, Any]],
    target: Installation,
    tmp_path: Path,
    what: str,
):
    _origin, file, _rows = dump
    change, reason = BROKEN[what]
    broken = tmp_path / "broken.sql"
    broken.write_bytes(change(file.read_bytes()))
    refused(target, broken, reason)


@pytest.mark.parametrize("option", OPTIONS)
def test_a_dump_of_something_else_changes_nothing(
    origins: dict[str, Any], target: Installation, tmp_path: Path, option: str
):
    origin, _file, _rows = origins[POSTGRESQL]
    file = tmp_path / "other.sql"
    if option == "--encoding=LATIN1":
        # No row of ours is in LATIN1: only what is said of the encoding.
        text = dumped(origin).replace(
            b"client_encoding = 'UTF8'", b"client_encoding = 'LATIN1'"
        )
        file.write_bytes(text)
    else:
        file.write_bytes(dumped(origin, option))
    refused(target, file, OPTIONS[option])
