"""`restore`, by the real command, between all pairs of databases."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import IS_SQLITE
from tests.project.running import Running
from tests.scans.installations import (
    POSTGRESQL,
    SQLITE,
    Installation,
    installation,
    settled,
)

pytestmark = pytest.mark.skipif(IS_SQLITE, reason="one session tries both databases")
VENDORS = [POSTGRESQL, SQLITE]


def scans(one: Installation) -> list[tuple[Any, ...]]:
    return one.query(
        "SELECT scan_id, created_at, target, verdict, passed, digest FROM scans"
        " ORDER BY created_at, scan_id"
    )


@pytest.mark.parametrize("vendor", VENDORS)
def test_it_gives_back_every_row(origins: dict[str, Any], tmp_path: Path, vendor: str):
    origin, file, rows = origins[vendor]
    with installation(vendor, tmp_path / "other", is_migrated=False) as target:
        said = target.done("restore", file, "--verify")
        assert "each compared" in said
        assert settled(target.tables()) == settled(rows)
        assert scans(target) == scans(origin)
        assert target.stored() == origin.stored()
        # What was at work begins again; nobody else's scans are touched.
        states = target.query(
            "SELECT scan_status, attempt, lease_owner FROM scans"
            " WHERE scan_status <> 'completed'"
        )
        assert {row[0] for row in states} == {"queued"}
        assert {row[1:] for row in states} == {(0, "")}


@pytest.mark.parametrize(("source", "target"), [VENDORS, VENDORS[::-1]])
def test_a_backup_of_one_database_is_restored_into_the_other(
    origins: dict[str, Any], tmp_path: Path, source: str, target: str
):
    origin, file, rows = origins[source]
    with installation(target, tmp_path / "other") as other:
        other.done("restore", file, "--verify")
        there = other.tables()
        for name in settled(rows):
            noted = name == "audit_events"
            assert len(there[name]) == len(rows[name]) + noted, name
        assert other.stored() == origin.stored()
        # Back again: what came through both is what it was.
        again = tmp_path / "again.zip"
        other.done("backup", again)
        with installation(source, tmp_path / "third") as third:
            third.done("restore", again, "--verify")
            assert comparable(third) == comparable(origin)


def comparable(one: Installation) -> dict[str, Any]:
    query = "SELECT finding_id, title, severity, is_new, evidence FROM findings"
    found = sorted(one.query(query), key=repr)
    return {
        "findings": [
            (*row[:4], json.loads(row[4]) if isinstance(row[4], str) else row[4])
            for row in found
        ],
        "keys": sorted(
            one.query("SELECT key_id, name, is_revoked, digest FROM api_keys")
        ),
        "bodies": [
            bytes(row[0]) for row in one.query("SELECT body FROM idempotency_records")
        ],
        "reports": sorted(one.query("SELECT key, report FROM stored_results")),
    }


def test_numbers_that_were_given_out_are_not_given_out_again(
    origins: dict[str, Any], empty: Installation
):
    _origin, file, _rows = origins[empty.vendor]
    empty.done("restore", file)
    (highest,) = empty.query("SELECT max(id) FROM auth_user")[0]
    empty.done("user", "create", "--name=next", "--role=viewer")
    [(number,)] = empty.query("SELECT id FROM auth_user WHERE username = 'next'")
    # The user with the number between was deleted before the backup.
    assert number == highest + 2


def test_an_installation_that_is_not_empty_is_refused(
    origins: dict[str, Any], keyed: Installation
):
    _origin, file, _rows = origins[keyed.vendor]
    before = keyed.tables()
    result = keyed.run("restore", file)
    assert result.returncode == 3
    assert "api_keys would be replaced; --replace says" in result.stderr
    assert keyed.tables() == before
    assert not list(keyed.data.glob("restoring*"))


def test_what_was_shut_out_since_stays_out(origins: dict[str, Any], tmp_path: Path):
    for vendor in VENDORS:
        with installation(vendor, tmp_path / vendor) as one:
            for name in ("stays", "by-command", "by-sql", "deleted", "replaced"):
                one.done("auth", "create", f"--name={name}", "--role=admin")
            for name in ("in", "out"):
                one.done("user", "create", f"--name={name}", "--role=viewer")
            file = tmp_path / f"{vendor}-keys.zip"
            one.done("backup", file)
            one.done("auth", "revoke", "by-command")
            one.query("UPDATE api_keys SET is_revoked = true WHERE name = 'by-sql'")
            one.query("DELETE FROM api_keys WHERE name = 'deleted'")
            one.done("auth", "rotate", "replaced", "--grace-hours=0")
            one.query("UPDATE auth_user SET is_active = false WHERE username = 'out'")
            said = one.done("restore", file, "--replace", "--verify")
            assert "still revoked: by-command, by-sql, deleted, replaced." in said, said
            assert "still so: out." in said
            live = one.query("SELECT name FROM api_keys WHERE NOT is_revoked")
            assert live == [("stays",)]
            users = one.query("SELECT username FROM auth_user WHERE is_active")
            assert users == [("in",)]


def test_keys_of_another_installation_are_not_taken_for_deleted(
    origins: dict[str, Any], empty: Installation
):
    _origin, file, _rows = origins[empty.vendor]
    empty.done("auth", "create", "--name=other", "--role=admin")
    said = empty.done("restore", file, "--replace")
    assert "still revoked" not in said
    live = empty.query("SELECT name FROM api_keys WHERE NOT is_revoked ORDER BY name")
    assert live == [("live",), ("rotated",), ("rotated",)]


def test_the_state_before_is_kept_beside_it(
    origins: dict[str, Any], keyed: Installation
):
    _origin, file, _rows = origins[keyed.vendor]
    said = keyed.done("restore", file, "--replace")
    kept = (
        f"{keyed.database}_before_restore"
        if keyed.vendor == POSTGRESQL
        else f"{keyed.path}.before-restore"
    )
    assert f"is kept as {kept}." in said
    url = keyed.url.rpartition("/")[0] + f"/{kept}"
    url = url if keyed.vendor == POSTGRESQL else f"sqlite:///{kept}"
    before = Installation(keyed.vendor, url, keyed.data)
    assert before.query("SELECT name FROM api_keys") == [("mine",)]
    # A second restore keeps the state before itself, not one more.
    keyed.done("restore", file, "--replace")
    assert before.query("SELECT count(*) FROM api_keys") == [(4,)]


def test_the_installation_key_comes_from_its_own_file(
    origins: dict[str, Any], empty: Installation, tmp_path: Path
):
    origin, file, _rows = origins[empty.vendor]
    said = empty.done("restore", file)
    assert "of this backup is not here" in said
    keys, wrong = tmp_path / "keys", tmp_path / "wrong"
    origin.done("backup", tmp_path / "x.zip", "--keys", keys)
    wrong.write_text("A" * 43 + "=\n")
    before = empty.tables()
    result = empty.run("restore", file, "--replace", "--keys", wrong)
    assert result.returncode == 2
    assert "is not the one of this backup. Nothing was changed." in result.stderr
    assert empty.tables() == before
    said = empty.done("restore", file, "--replace", "--keys", keys)
    assert "of this backup" not in said
    key = empty.data / "installation-key"
    assert key.read_bytes() == (origin.data / "installation-key").read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600


# --- files that are not what they should be


@pytest.mark.slow
@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("after", ["Checking", "Making", "Writing rows", "Counting"])
def test_one_that_is_killed_leaves_the_target_as_it_was(
    origins: dict[str, Any], tmp_path: Path, vendor: str, after: str
):
    _origin, file, rows = origins[vendor]
    with installation(vendor, tmp_path / "target", has_key=True) as target:
        before, content = target.tables(), file.read_bytes()
        running = Running(
            "manage.py", "restore", str(file), "--replace", env=target.env
        )
        running.wait_for(after)
        running.end(signal.SIGKILL)
        assert target.tables() == before
        assert file.read_bytes() == content
        # It is not in the way of the next one, and leaves nothing behind after that.
        target.done("restore", file, "--replace", "--verify")
        assert len(target.tables()["findings"]) == len(rows["findings"])
        assert not list(target.data.glob("*restoring*"))


@pytest.mark.slow
@pytest.mark.parametrize("vendor", VENDORS)
def test_killed_at_any_time_there_is_the_old_or_the_new_and_nothing_between(
    origins: dict[str, Any], tmp_path: Path, vendor: str
):
    _origin, file, rows = origins[vendor]
    with installation(vendor, tmp_path / "target") as target:
        started = time.monotonic()
        target.done("restore", file)
        whole = time.monotonic() - started
        new = scans(target)
        outcomes = set()
        for step in range(8):
            target.query("DELETE FROM scans")
            running = Running(
                "manage.py", "restore", str(file), "--replace", env=target.env
            )
            time.sleep(whole * (0.6 + step * 0.06))
            running.end(signal.SIGKILL)
            there = scans(target)
            assert there in ([], new), f"step {step}: {len(there)} scans"
            outcomes.add(len(there))
            if vendor == SQLITE:
                assert target.query("PRAGMA integrity_check") == [("ok",)]
        assert outcomes
        assert rows


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_damaged_database_is_replaced_and_kept(
    origins: dict[str, Any], tmp_path: Path, vendor: str
):
    _origin, file, rows = origins[vendor]
    with installation(vendor, tmp_path / "target") as target:
        if vendor == POSTGRESQL:
            target.query("DROP TABLE findings, api_keys CASCADE")
        else:
            content = bytearray(target.path.read_bytes())
            content[:4096] = os.urandom(4096)
            target.path.write_bytes(content)
        result = target.run("restore", file)
        assert result.returncode == (0 if vendor == POSTGRESQL else 3), result.stderr
        said = target.done("restore", file, "--replace", "--verify")
        assert len(target.tables()["findings"]) == len(rows["findings"])
        if vendor == SQLITE:
            assert "could not be asked which API keys were revoked" in said
            assert Path(f"{target.path}.before-restore").read_bytes() == content


def test_a_database_that_is_gone_is_made_again(origins: dict[str, Any], tmp_path: Path):
    from tests.scans.installations import server

    _origin, file, rows = origins[POSTGRESQL]
    with installation(POSTGRESQL, tmp_path / "target", is_migrated=False) as target:
        server(f"DROP DATABASE {target.database}")
        target.done("restore", file)
        assert len(target.tables()["findings"]) == len(rows["findings"])


def test_two_restores_do_not_meet(origins: dict[str, Any], empty: Installation):
    _origin, file, _rows = origins[empty.vendor]
    first = Running("manage.py", "restore", str(file), "--verify", env=empty.env)
    first.wait_for("Making tables")
    # However long the second takes to start, the first is still at work.
    first.process.send_signal(signal.SIGSTOP)
    second = empty.run("restore", file, "--replace")
    first.process.send_signal(signal.SIGCONT)
    assert first.end(0, seconds=120) == 0, first.text
    assert second.returncode == 2
    assert "Another restore is at work" in second.stderr


def test_restores_of_two_databases_of_one_server_are_in_nobodys_way(
    origins: dict[str, Any], tmp_path: Path
):
    _origin, file, rows = origins[POSTGRESQL]
    with (
        installation(POSTGRESQL, tmp_path / "one") as one,
        installation(POSTGRESQL, tmp_path / "other") as other,
    ):
        first = Running("manage.py", "restore", str(file), "--verify", env=one.env)
        first.wait_for("Making tables")
        first.process.send_signal(signal.SIGSTOP)
        second = other.run("restore", file)
        first.process.send_signal(signal.SIGCONT)
        assert second.returncode == 0, second.stderr
        assert first.end(0, seconds=120) == 0, first.text
        for each in (one, other):
            assert len(each.tables()["findings"]) == len(rows["findings"])


@pytest.mark.slow
def test_those_who_use_the_database_meanwhile_go_on_in_the_new_one(
    origins: dict[str, Any], empty: Installation
):
    """Writers that never pause: their connections end, and the next ones are new."""
    _origin, file, rows = origins[empty.vendor]
    writers = [Running("-m", "tests.scans.writing", env=empty.env) for _ in range(2)]
    try:
        for writer in writers:
            writer.wait_for("wrote 2")
        empty.done("restore", file, "--replace")
        for writer in writers:
            seen = len(writer.lines)
            deadline = time.monotonic() + 60
            while writer.process.poll() is None and len(writer.lines) < seen + 3:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        there = empty.query(
            "SELECT count(*) FROM findings WHERE title NOT IN ('1', '2')"
        )
        assert there[0][0] >= len(rows["findings"])
        orphans = empty.query(
            "SELECT count(*) FROM findings f LEFT JOIN scans s"
            " ON s.scan_id = f.scan_id WHERE s.scan_id IS NULL"
        )
        assert orphans == [(0,)]
    finally:
        for writer in writers:
            writer.end(signal.SIGKILL)
