"""deploy/bin, run as an operator runs it, and with what goes wrong at night."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import IS_SQLITE
from tests.runbook.programs import script
from tests.runbook.stack import Stack
from tests.servers import postgres_programs

pytestmark = pytest.mark.skipif(IS_SQLITE, reason="it is about a PostgreSQL server")
DAY = 86_400
LATEST = "sentrascan_latest.sql.gz"


@pytest.fixture
def backups(stack: Stack) -> Iterator[Path]:
    """An empty BACKUP_DIR."""
    directory = Path(stack.shell["BACKUP_DIR"])
    shutil.rmtree(directory, ignore_errors=True)
    yield directory
    shutil.rmtree(stack.root / "database-programs", ignore_errors=True)


def dumps(directory: Path) -> list[Path]:
    found = sorted(directory.glob("sentrascan_*.sql.gz"))
    return [path for path in found if path.name != LATEST]


def backed_up(stack: Stack, **more: str) -> Path:
    """Make a backup; return its file."""
    done = stack.typed("./backup-db.sh", **more)
    assert done.returncode == 0, done.stdout
    [said] = done.stdout.splitlines()
    return Path(said.removeprefix("Backup completed: "))


def aged(path: Path, days: float) -> Path:
    then = time.time() - days * DAY
    os.utime(path, (then, then), follow_symlinks=False)
    return path


def broken_pg_dump(stack: Stack, command: str) -> None:
    """Put another pg_dump before the real one of `db`; $REAL is that."""
    directory = stack.root / "database-programs"
    directory.mkdir(exist_ok=True)
    text = f"REAL={postgres_programs()}/pg_dump\n"
    text += f'case "$*" in *--version*) exec $REAL "$@";; esac\n{command}'
    (directory / "pg_dump").write_text(f"#!/bin/bash\n{text}\n")
    (directory / "pg_dump").chmod(0o755)


# --- backup


def test_a_backup_is_a_whole_dump_and_the_latest_one(stack: Stack, backups: Path):
    file = backed_up(stack)
    content = gzip.decompress(file.read_bytes())
    assert b"-- PostgreSQL database dump complete" in content
    assert (backups / LATEST).resolve() == file
    assert file.stat().st_mode & 0o777 == 0o600
    second = backed_up(stack)
    assert second != file
    assert (backups / LATEST).resolve() == second
    assert dumps(backups) == [file, second]
    assert not list(backups.glob("*.partial"))


def test_it_works_from_any_directory_and_through_a_link(
    stack: Stack, backups: Path, tmp_path: Path
):
    (tmp_path / "nightly").symlink_to(stack.project / "deploy/bin/backup-db.sh")
    done = stack.typed(f"cd {tmp_path} && BACKUP_DIR=here ./nightly")
    assert done.returncode == 0, done.stdout
    assert len(dumps(tmp_path / "here")) == 1
    assert not dumps(backups)


def test_old_backups_go_and_only_after_a_good_one(stack: Stack, backups: Path):
    old, young = backed_up(stack), backed_up(stack)
    aged(old, 31)
    aged(young, 29)
    other = backups / "other_20200101.sql.gz"
    shutil.copy(old, other)
    aged(other, 400)
    newest = backed_up(stack)
    assert not old.exists()
    assert dumps(backups) == [young, newest]
    assert other.exists()
    assert backed_up(stack, RETENTION_DAYS="7").exists()
    assert not young.exists()


MIDDLE = '"$REAL" "$@" | head -c 30000\n'
FAULTS = {
    "the dump fails in the middle": (MIDDLE + "exit 1", "the dump failed"),
    "it ends in the middle without a word": (MIDDLE + "exit 0", "only the beginning"),
    "it fails at once": ('echo "FATAL: no" >&2; exit 1', "the dump failed"),
    "it says nothing": ("exit 0", "no plain dump by pg_dump"),
    "it is of another database": (
        'exec "$REAL" -U postgres postgres',
        "no dump of SentraScan",
    ),
    "it holds no migrations": (
        'exec "$REAL" "$@" --exclude-table-data=django_migrations',
        "no dump of SentraScan",
    ),
    "its last word stands in a row": (
        '"$REAL" "$@" | sed "/^COPY public.scans/q"\n'
        'printf -- "-- PostgreSQL database dump complete\\n"',
        "only the beginning",
    ),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_dump_that_is_not_whole_is_no_backup_and_takes_none_away(
    stack: Stack, backups: Path, what: str
):
    good = aged(backed_up(stack), 400)
    command, reason = FAULTS[what]
    broken_pg_dump(stack, command)
    done = stack.typed("deploy/bin/backup-db.sh")
    assert done.returncode == 1, done.stdout
    assert reason in done.stdout
    assert "completed" not in done.stdout
    assert dumps(backups) == [good]
    assert (backups / LATEST).resolve() == good
    assert not list(backups.glob("*.partial"))


def test_a_full_disk_is_no_backup_and_takes_none_away(stack: Stack, backups: Path):
    good = aged(backed_up(stack), 400)
    # No file beyond 8 KiB, which fails as a full disk does: at the write.
    done = stack.typed("trap '' XFSZ; ulimit -f 8; deploy/bin/backup-db.sh")
    assert done.returncode == 1, done.stdout
    assert dumps(backups) == [good]
    assert not list(backups.glob("*.partial"))


@pytest.mark.skipif(os.getuid() != 0, reason="only root mounts a small disk")
def test_a_really_full_disk(stack: Stack, backups: Path, tmp_path: Path):
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "none", small]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        done = stack.typed("deploy/bin/backup-db.sh", BACKUP_DIR=str(small))
        assert done.returncode == 1
        assert "No space left" in done.stdout
        assert [path.name for path in small.iterdir()] == [".sentrascan-backup.lock"]
    finally:
        subprocess.run(["umount", small], check=True)


def test_one_that_was_killed_is_not_in_the_way(stack: Stack, backups: Path):
    broken_pg_dump(stack, '"$REAL" "$@" | head -c 9000; kill -9 $(cat "$PWD/script")')
    pid = stack.stores["db"].home / "script"
    done = stack.typed(f"echo $$ >{pid}; exec deploy/bin/backup-db.sh")
    assert done.returncode == -9
    assert list(backups.glob("*.partial"))
    assert not dumps(backups)
    shutil.rmtree(stack.root / "database-programs")
    file = backed_up(stack)
    assert dumps(backups) == [file]
    assert not list(backups.glob("*.partial"))


def test_two_backups_do_not_meet(stack: Stack, backups: Path):
    backups.mkdir()
    done = stack.typed(
        'exec 8>"$BACKUP_DIR/.sentrascan-backup.lock"; flock 8; deploy/bin/backup-db.sh'
    )
    assert done.returncode == 1
    assert "another backup" in done.stdout


def test_a_pg_dump_that_is_older_than_its_server_is_not_used(
    stack: Stack, backups: Path
):
    directory = stack.root / "database-programs"
    directory.mkdir()
    script(directory / "pg_dump", "echo 'pg_dump (PostgreSQL) 9.6.24' #")
    done = stack.typed("deploy/bin/backup-db.sh")
    assert done.returncode == 1
    assert "pg_dump 9 is older than the server" in done.stdout
    assert not dumps(backups)


def test_a_database_that_is_down_is_said(stack: Stack, backups: Path):
    assert stack.typed("docker-compose stop db").returncode == 0
    try:
        done = stack.typed("deploy/bin/auto-backup.sh")
        assert done.returncode == 1
        assert "the database does not answer" in done.stdout
        assert "Backup failed" in done.stdout
        assert not dumps(backups)
    finally:
        stack.typed("docker-compose start db")


@pytest.mark.parametrize("days", ["", "x", "-1", "3 -delete"])
def test_a_retention_that_is_no_number_deletes_nothing(
    stack: Stack, backups: Path, days: str
):
    old = aged(backed_up(stack), 29)
    done = stack.typed("deploy/bin/backup-db.sh", RETENTION_DAYS=days)
    # Empty is as good as not set.
    assert done.returncode == (0 if days == "" else 1)
    assert old.exists()


# --- a copy elsewhere


def an_aws(stack: Stack, code: int) -> Path:
    """Put a command `aws` onto the path that notes what it was told."""
    noted = stack.root / "aws-was-told"
    (stack.programs / "aws").write_text(
        f'#!/bin/sh\necho "$@" >{noted}\ncp "$6" {stack.root}/copied 2>/dev/null\n'
        f"exit {code}\n"
    )
    (stack.programs / "aws").chmod(0o755)
    return noted


@pytest.mark.parametrize("code", [0, 1])
def test_the_copy_elsewhere_is_optional_and_its_failure_is_one(
    stack: Stack, backups: Path, code: int
):
    noted = an_aws(stack, code)
    noted.unlink(missing_ok=True)
    assert stack.typed("deploy/bin/auto-backup.sh").returncode == 0
    assert not noted.exists()
    done = stack.typed(
        "deploy/bin/auto-backup.sh",
        BACKUP_S3_URL="s3://bucket/folder/",
        BACKUP_S3_ENDPOINT="http://127.0.0.1:9",
    )
    assert done.returncode == code
    newest = (backups / LATEST).resolve()
    assert noted.read_text().split() == [
        *("--endpoint-url", "http://127.0.0.1:9", "s3", "cp"),
        *("--only-show-errors", str(newest), "s3://bucket/folder/"),
    ]
    assert ("could not be copied" in done.stdout) == bool(code)
    assert len(dumps(backups)) == 2


# --- health and status


@pytest.fixture(scope="module")
def served(stack: Stack) -> Stack:
    started = stack.typed("docker-compose up -d && docker-compose stop worker beat")
    assert started.returncode == 0, started.stdout
    return stack


def test_health_is_told_when_all_is_well(served: Stack):
    done = served.typed("deploy/bin/health-check.sh")
    assert (done.returncode, done.stdout) == (0, "All health checks passed\n")


def test_each_part_that_is_not_well_is_an_alert(served: Stack):
    try:
        served.typed("docker-compose stop api")
        done = served.typed("cd / && $OLDPWD/deploy/bin/health-check.sh")
        assert done.returncode == 1
        assert done.stdout.startswith("ALERT: API health check failed: curl: (22)")
        assert "Database" not in done.stdout
        served.typed("docker-compose start api; docker-compose stop db")
        done = served.typed("deploy/bin/health-check.sh")
        assert done.returncode == 1
        assert "ALERT: API health check failed" in done.stdout
        assert 'ALERT: Database connection failed: service "db"' in done.stdout
    finally:
        served.typed("docker-compose start")


def test_an_alert_is_mailed_only_where_somebody_is_named(served: Stack):
    sent = served.root / "sent"
    script(served.programs / "mail", f"cat >{sent} && echo >>{sent}")
    url = "http://127.0.0.1:1"
    done = served.typed("deploy/bin/health-check.sh", SENTRASCAN_API_URL=url)
    assert done.returncode == 1
    assert not sent.exists()
    more = {"SENTRASCAN_API_URL": url, "ALERT_EMAIL": "ops@example.com"}
    assert served.typed("deploy/bin/health-check.sh", **more).returncode == 1
    assert "ALERT: API health check failed" in sent.read_text()


def a_key(stack: Stack, role: str) -> str:
    said = stack.typed(
        f"docker-compose exec -T api sentrascan auth create --name k{time.time_ns()}"
        f" --role {role}"
    )
    return next(word for word in said.stdout.split() if word.startswith("ssk_"))


def test_the_status_shows_scans_and_what_is_not_ready(served: Stack):
    key = a_key(served, "viewer")
    done = served.typed("deploy/bin/check-status.sh", SENTRASCAN_API_KEY=key)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[:3] == [
        "=== SentraScan Status Check ===",
        "✅ API Health: OK",
        "📊 Recent Scans: 5",
    ]
    assert lines[3].startswith("⚠️  Failed Scans: ")
    assert lines[4] == "✅ Database: Connected"
    # No worker runs: either none is known, or none has tried its scanners.
    assert lines[5].startswith("⚠️  Readiness: ")
    assert "worker" in lines[5]
    without = served.typed("deploy/bin/check-status.sh")
    assert without.returncode == 0
    assert "not asked" in without.stdout


def test_a_key_that_is_not_valid_or_a_part_that_is_down_fails_the_status(
    served: Stack,
):
    done = served.typed("deploy/bin/check-status.sh", SENTRASCAN_API_KEY="ssk_no")
    assert done.returncode == 1
    assert "❌ Recent Scans: FAILED" in done.stdout
    assert "401" in done.stdout
    url = "http://127.0.0.1:1"
    done = served.typed("deploy/bin/check-status.sh", SENTRASCAN_API_URL=url)
    assert done.returncode == 1
    assert "❌ API Health: FAILED" in done.stdout
    assert "✅ Database: Connected" in done.stdout


# --- cleanup


def test_cleanup_removes_old_scans_and_never_the_last_good_backup(
    served: Stack, backups: Path
):
    good, broken = backed_up(served), backups / "sentrascan_20260101_000000.sql.gz"
    older = backups / "sentrascan_20250101_000000.sql.gz"
    shutil.copy(good, older)
    broken.write_bytes(good.read_bytes()[:5000])
    for path, days in ((good, 60), (broken, 50), (older, 70)):
        aged(path, days)
    served.query(
        "UPDATE scans SET created_at = now() - interval '200 days',"
        " finished_at = now() - interval '200 days' WHERE target = 'model 3'"
    )
    before = served.query("SELECT count(*) FROM scans")[0][0]
    done = served.typed("deploy/bin/cleanup.sh --dry-run")
    assert done.returncode == 0, done.stdout
    assert "1 scan" in done.stdout
    assert served.query("SELECT count(*) FROM scans") == [(before,)]
    assert set(dumps(backups)) == {good, broken, older}
    done = served.typed("deploy/bin/cleanup.sh --older-than 100d")
    assert done.returncode == 0, done.stdout
    assert served.query("SELECT count(*) FROM scans") == [(before - 1,)]
    assert dumps(backups) == [good]
    # Nothing that could be restored is left: nothing goes.
    good.write_bytes(good.read_bytes()[:5000])
    aged(good, 60)
    done = served.typed("deploy/bin/cleanup.sh")
    assert "none is removed" in done.stdout
    assert dumps(backups) == [good]
