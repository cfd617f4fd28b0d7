from __future__ import annotations

import os
from pathlib import Path

import pytest

from scanners import edition


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "one.py").write_text("RULE = 1\n")
    (tmp_path / "catalogue.json").write_text("{}")
    return tmp_path


def test_it_stays_as_long_as_nothing_changes(folder):
    before = edition.on_disk(folder)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "one.py").write_text("x")
    (folder / "notes.txt").write_text("x")
    assert edition.on_disk(folder) == before


@pytest.mark.parametrize("change", ["byte", "name", "new", "gone", "data"])
def test_every_change_makes_another_edition(folder, change):
    before = edition.on_disk(folder)
    rule = folder / "rules" / "one.py"
    match change:
        case "byte":
            rule.write_text("RULE = 2\n")
        case "name":
            rule.rename(rule.with_name("two.py"))
        case "new":
            (folder / "rules" / "two.py").write_text("")
        case "gone":
            rule.unlink()
        case "data":
            (folder / "catalogue.json").write_text("[]")
    assert edition.on_disk(folder) != before


def test_an_edit_that_sets_the_time_back_is_another_edition(folder):
    before = edition.on_disk(folder)
    rule = folder / "rules" / "one.py"
    then = rule.stat()
    rule.write_text("RULE = 2\n")
    os.utime(rule, ns=(then.st_atime_ns, then.st_mtime_ns))
    assert edition.on_disk(folder) != before


def test_code_that_goes_while_we_look_is_not_what_we_run(monkeypatch, tmp_path):
    look = edition.on_disk
    monkeypatch.setattr(edition, "on_disk", lambda: look(tmp_path / "gone"))
    assert not edition.is_loaded()


def test_this_process_runs_what_is_on_disk():
    assert edition.is_loaded()
    assert edition.on_disk() == edition.LOADED
