"""`backup`, by the real command, on both databases."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import IS_SQLITE
from tests.project.running import ROOT, Running
from tests.scans.installations import (
    POSTGRESQL,
    SQLITE,
    Installation,
    installation,
)

pytestmark = pytest.mark.skipif(IS_SQLITE, reason="one session tries both databases")
VENDORS = [POSTGRESQL, SQLITE]


@pytest.fixture(scope="module", params=VENDORS)
def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """An installation with rows of every kind; tests only add to it."""
    with installation(request.param, tmp_path_factory.mktemp("filled")) as one:
        one.fill()
        yield one


@pytest.fixture(scope="module")
def any_filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The same for what has nothing to do with which database it is."""
    with installation(SQLITE, tmp_path_factory.mktemp("any")) as one:
        one.fill(3)
        yield one


def manifest(path: Path) -> dict[str, object]:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("manifest.json"))


def lines(path: Path, table: str) -> list[list[object]]:
    with zipfile.ZipFile(path) as archive:
        text = archive.read(f"tables/{table}.jsonl").decode()
    return [json.loads(line) for line in text.split("\n")[:-1]]


def test_it_holds_every_row_and_every_stored_byte(filled: Installation, tmp_path: Path):
    file = tmp_path / "backup.zip"
    before = filled.tables()
    said = filled.done("backup", file)
    told = {table["name"]: table for table in manifest(file)["tables"]}
    left_out = {"django_session", "workers", "result_claims", "django_migrations"}
    assert set(told) == set(before) - left_out
    for name, table in told.items():
        assert table["rows"] == len(before[name]) == len(lines(file, name)), name
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        kept = {
            name.removeprefix("uploads/"): archive.read(name)
            for name in archive.namelist()
            if name.startswith("uploads/")
        }
    assert kept == filled.stored()
    assert len(kept) == 3
    assert "3 stored uploads" in said
    assert "damaged" not in said


def test_it_is_for_its_owner_alone_and_leaves_no_half_file(
    any_filled: Installation, tmp_path: Path
):
    any_filled.done("backup", tmp_path / "backup.zip")
    [file] = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_installation_key_is_in_no_backup_but_in_a_file_of_its_own(
    any_filled: Installation, tmp_path: Path
):
    file, keys = tmp_path / "backup.zip", tmp_path / "keys"
    said = any_filled.done("backup", file, "--keys", keys)
    key = (any_filled.data / "installation-key").read_bytes()
    assert keys.read_bytes() == key
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            assert key.strip() not in archive.read(name), name
    assert key.decode().strip() not in said


def test_only_references_are_kept_where_that_is_asked(
    any_filled: Installation, tmp_path: Path
):
    file = tmp_path / "backup.zip"
    assert "only their names" in any_filled.done("backup", file, "--uploads=reference")
    with zipfile.ZipFile(file) as archive:
        assert not [one for one in archive.namelist() if one.startswith("uploads/")]
        told = [json.loads(one) for one in archive.read("uploads.jsonl").splitlines()]
    assert {one["state"] for one in told} == {"reference"}
    assert len(told) == 3


def test_who_took_it_is_in_the_audit_log(filled: Installation, tmp_path: Path):
    filled.done("backup", tmp_path / "noted.zip")
    [(actor, kind)] = filled.query(
        "SELECT actor, object_type FROM audit_events "
        "WHERE action = 'installation.backup' AND object_id = 'noted.zip'"
    )
    assert (actor, kind) == ("command line", "installation")


def test_the_standard_output_takes_it_too(any_filled: Installation, tmp_path: Path):
    file = tmp_path / "piped.zip"
    with file.open("wb") as pipe:
        subprocess.run(
            [sys.executable, ROOT / "manage.py", "backup", "-"],
            check=True,
            env=any_filled.env,
            stdout=pipe,
            stderr=subprocess.PIPE,
        )
    assert manifest(file)["format"] == "sentrascan-backup"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("there.zip", "is there already"), (".", "is a directory"), ("no/x", "no direct")],
)
def test_it_overwrites_nothing_unasked(
    any_filled: Installation, tmp_path: Path, name: str, reason: str
):
    (tmp_path / "there.zip").write_text("precious")
    result = any_filled.run("backup", tmp_path / name)
    assert result.returncode == 3
    assert reason in result.stderr
    assert (tmp_path / "there.zip").read_text() == "precious"


def test_it_overwrites_where_that_is_asked(any_filled: Installation, tmp_path: Path):
    file = tmp_path / "there.zip"
    file.write_text("old")
    any_filled.done("backup", file, "--overwrite")
    assert zipfile.is_zipfile(file)


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(
    filled: Installation, tmp_path: Path
):
    result = subprocess.run(
        [sys.executable, ROOT / "manage.py", "backup", tmp_path / "backup.zip"],
        env=filled.env,
        capture_output=True,
        text=True,
        check=False,
        # Any file that grows beyond this fails, as on a disk that is full.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].endswith(
        "could not be written: File too large"
    )
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_behind_a_pipe_is_an_error_too(any_filled: Installation):
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [sys.executable, ROOT / "manage.py", "backup", "-"],
            env=any_filled.env,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert result.returncode == 2
    assert "No space left on device" in result.stderr
    assert "Traceback" not in result.stderr


def test_missing_and_decayed_uploads_are_told_and_do_not_stop_it(
    any_filled: Installation, tmp_path: Path
):
    places = sorted((any_filled.data / "uploads").glob("??/*"))
    contents = [place.read_bytes() for place in places]
    places[0].unlink()
    places[1].chmod(0o600)
    places[1].write_bytes(b"decayed")
    try:
        said = any_filled.done("backup", tmp_path / "backup.zip")
    finally:
        for place, content in zip(places, contents, strict=True):
            place.unlink(missing_ok=True)
            place.write_bytes(content)
    assert "1 stored uploads were gone" in said
    assert f"{places[1].name} is damaged on disk" in said


def test_one_that_was_killed_leaves_no_backup_and_is_not_in_the_way(
    filled: Installation, tmp_path: Path
):
    file = tmp_path / "backup.zip"
    before = filled.tables()
    [big, *_] = (filled.data / "uploads").glob("??/*")
    content = big.read_bytes()
    big.chmod(0o600)
    os.truncate(big, 4 << 30)  # takes seconds to read, and no space
    try:
        running = Running("manage.py", "backup", str(file), env=filled.env)
        running.wait_for("Reading stored uploads")
        running.end(signal.SIGKILL)
    finally:
        big.write_bytes(content)
    assert [path.name for path in tmp_path.iterdir()] == ["backup.zip.partial"]
    assert filled.tables() == before
    filled.done("backup", file)
    assert [path.name for path in tmp_path.iterdir()] == ["backup.zip"]


def test_two_do_not_write_into_the_same_file(any_filled: Installation, tmp_path: Path):
    with (tmp_path / "backup.zip.partial").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        result = any_filled.run("backup", tmp_path / "backup.zip")
    assert result.returncode == 2
    assert "is being written by another process" in result.stderr


def test_it_is_of_one_moment_while_others_write(filled: Installation, tmp_path: Path):
    """Each write adds a scan with ten findings and its count in one transaction."""
    writers = [Running("-m", "tests.scans.writing", env=filled.env) for _ in range(2)]
    try:
        for writer in writers:
            writer.wait_for("wrote 3")
        for number in range(3):
            file = tmp_path / f"{number}.zip"
            filled.done("backup", file)
            scans, findings = lines(file, "scans"), lines(file, "findings")
            columns = {
                table["name"]: [column["name"] for column in table["columns"]]
                for table in manifest(file)["tables"]
            }
            target = columns["scans"].index("target")
            total = columns["scans"].index("total_findings")
            of = columns["findings"].index("scan_id")
            written = {row[0]: row[total] for row in scans if row[target] == "moment"}
            found = dict.fromkeys(written, 0)
            known = {row[0] for row in scans}
            for row in findings:
                assert row[of] in known, "a finding without its scan"
                if row[of] in found:
                    found[row[of]] += 1
            assert found == written
            assert len(written) > 3
    finally:
        for writer in writers:
            assert writer.process.poll() is None, writer.text
            writer.end(signal.SIGKILL)
            filled.query("DELETE FROM scans WHERE target = 'moment'")
