"""What `restore` refuses: broken, foreign and hostile archives change nothing."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import IS_SQLITE
from tests.scans.installations import SQLITE, Installation, settled

pytestmark = pytest.mark.skipif(IS_SQLITE, reason="one session tries both databases")


def rewritten(file: Path, target: Path, change: Callable[[str, bytes], bytes | None]):
    """Write an archive anew, each member as `change` gives it, None for without."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return target


def changed_manifest(**fields: Any) -> Callable[[str, bytes], bytes]:
    def change(name: str, content: bytes) -> bytes:
        if name != "manifest.json":
            return content
        return json.dumps({**json.loads(content), **fields}).encode()

    return change


def one_row_less(name: str, content: bytes) -> bytes:
    return content.partition(b"\n")[2] if name == "tables/findings.jsonl" else content


def other_bytes(name: str, content: bytes) -> bytes:
    return b"x" + content[1:] if name.startswith("uploads/") else content


def without_uploads(name: str, content: bytes) -> bytes | None:
    return None if name.startswith("uploads/") else content


BROKEN: dict[str, tuple[Callable[[str, bytes], bytes | None], str]] = {
    "a row is missing": (one_row_less, "findings are damaged"),
    "stored bytes are others": (other_bytes, "are damaged"),
    "stored bytes are missing": (without_uploads, "is missing"),
    "another format": (changed_manifest(format="zip"), "It says that it is"),
    "a later format": (changed_manifest(format_version=9), "update first"),
    "a later version": (
        changed_manifest(migrations=[["scans", "9999_future"]]),
        "written by a newer one",
    ),
    "nothing of ours": (changed_manifest(migrations=[]), "holds no SentraScan"),
    "no manifest": (
        lambda name, content: None if name == "manifest.json" else content,
        "manifest.json is missing",
    ),
    "tables of nobody": (changed_manifest(tables=[]), "does not belong there"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_archive_changes_nothing(
    origins: dict[str, Any], tmp_path: Path, what: str
):
    origin, file, rows = origins[SQLITE]
    change, reason = BROKEN[what]
    broken = rewritten(file, tmp_path / "broken.zip", change)
    result = origin.run("restore", broken, "--replace")
    assert result.returncode == 2, result.stdout
    assert reason in result.stderr
    assert "Nothing was changed." in result.stderr
    assert "Traceback" not in result.stderr
    assert settled(origin.tables()) == settled(rows)


def test_names_that_lead_elsewhere_are_never_written(
    origins: dict[str, Any], tmp_path: Path
):
    origin, file, rows = origins[SQLITE]
    outside = tmp_path / "outside"
    for name in ("../escaped", str(outside), "uploads/../../escaped"):
        broken = tmp_path / "broken.zip"
        broken.write_bytes(file.read_bytes())
        with zipfile.ZipFile(broken, "a") as archive:
            archive.writestr(name, b"here I am")
        result = origin.run("restore", broken, "--replace")
        assert result.returncode == 2
        assert f"{name!r} does not belong there" in result.stderr

    # A digest that is none is no name of a file either.
    def lead_out(name: str, content: bytes) -> bytes:
        return content.replace(b'"sha256":"', b'"sha256":"../../', 1)

    broken = rewritten(file, tmp_path / "digest.zip", lead_out)
    assert origin.run("restore", broken, "--replace").returncode == 2
    assert not list(origin.data.rglob("*escaped*"))
    assert not outside.exists()
    assert settled(origin.tables()) == settled(rows)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_the_beginning_of_a_backup_is_none(
    origins: dict[str, Any], tmp_path: Path, share: float
):
    origin, file, _rows = origins[SQLITE]
    content = file.read_bytes()
    cut = tmp_path / "cut.zip"
    cut.write_bytes(content[: int(len(content) * share)])
    result = origin.run("restore", "--check", cut)
    assert result.returncode == 2
    assert "cut.zip is no backup" in result.stderr


def test_any_flipped_byte_is_noticed_or_without_effect(
    origins: dict[str, Any], tmp_path: Path
):
    from scans.backups.failures import Unreadable
    from scans.backups.opening import opened

    class Nobody:
        def begin(self, stage: str, total: int, unit: str) -> None: ...
        def moved(self, count: int) -> None: ...

    def read(path: Path) -> list[Any]:
        with opened(path, Nobody()) as source:
            tables = [(name, list(rows)) for name, rows in source.tables()]
            files = source.files()
            return [source.migrations, tables, files]

    _origin, file, _rows = origins[SQLITE]
    content = file.read_bytes()
    whole = read(file)
    flipped = tmp_path / "flipped.zip"
    noticed = 0
    for place in range(0, len(content), max(1, len(content) // 150)):
        flipped.write_bytes(
            content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1 :]
        )
        try:
            assert read(flipped) == whole, place
        except Unreadable:
            noticed += 1
    assert noticed > 75


def test_a_check_says_what_it_is_and_changes_nothing(
    origins: dict[str, Any], empty: Installation
):
    _origin, file, _rows = origins[empty.vendor]
    before = empty.tables()
    said = empty.done("restore", "--check", file)
    assert "Sound: a backup by SentraScan" in said
    assert empty.tables() == before
    result = empty.run("restore", "--check", file.parent / "nothing.zip")
    assert result.returncode == 3


# --- killed, damaged, in use
