"""What a worker may believe of the one before it on the same host."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from scans.management import presence, recollection
from scans.models import Worker
from tests.project.running import eventually

RULES, SANDBOX = "ab" * 32, "landlock"


@pytest.fixture(autouse=True)
def data(settings: Any, tmp_path: Path) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path


def told(status: str = "available", age: float = 0.0) -> recollection.Told:
    return {"modelaudit": {"status": status, "tried_at": time.time() - age}}


def test_what_was_well_lately_is_believed_with_the_same_rules_and_sandbox() -> None:
    recollection.keep(RULES, SANDBOX, scanners := told(age=500))
    assert recollection.recall(RULES, SANDBOX) == scanners
    assert recollection.recall("cd" * 32, SANDBOX) == {}
    assert recollection.recall(RULES, "rlimits") == {}


@pytest.mark.parametrize("age", [601, -60])
def test_what_is_old_or_of_the_future_is_not_believed(age: float) -> None:
    recollection.keep(RULES, SANDBOX, told(age=age))
    assert recollection.recall(RULES, SANDBOX) == {}


def test_nobody_knows_where_the_rules_are_not_known() -> None:
    recollection.keep("", SANDBOX, told())
    assert recollection.recall("", SANDBOX) == {}


@pytest.mark.parametrize("status", ["broken", "missing"])
def test_what_does_not_detect_is_tried_anew(status: str) -> None:
    recollection.keep(RULES, SANDBOX, told())
    recollection.keep(
        RULES, SANDBOX, told() | {"cisco-scanner": told(status)["modelaudit"]}
    )
    assert recollection.recall(RULES, SANDBOX) == {}


@pytest.mark.parametrize("text", ["", "[]", '{"of": 1}', '{"scanners": {"a": {}}}'])
def test_a_damaged_file_is_nobodys_word(data: Path, text: str) -> None:
    recollection.keep(RULES, SANDBOX, told())
    (kept,) = (data / "detections").iterdir()
    kept.write_text(text)
    assert recollection.recall(RULES, SANDBOX) == {}


def test_what_other_hosts_left_goes(data: Path) -> None:
    recollection.keep(RULES, SANDBOX, told())
    other = data / "detections" / "other.json"
    other.write_text("{}")
    recollection.keep(RULES, SANDBOX, told())
    assert other.exists()
    long_ago = time.time() - 700
    os.utime(other, (long_ago, long_ago))
    recollection.keep(RULES, SANDBOX, told())
    assert len(list((data / "detections").iterdir())) == 1


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_comes_again_says_at_once_what_was_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[object] = []
    monkeypatch.setattr(presence, "detect_all", lambda stop: tried.append(stop) or [])
    first = presence.Presence("host:1")
    recollection.keep(first._rules(), presence.chosen_rung().name, scanners := told())
    second = presence.Presence("host:2")
    second.start()
    try:
        eventually(Worker.objects.filter(name="host:2").exists, 30, "its row")
    finally:
        second.stop()
        for thread in second._threads:
            thread.join(60)
    row = Worker.objects.get(name="host:2")
    assert row.scanners["modelaudit"]["tried_at"] == scanners["modelaudit"]["tried_at"]
    assert tried == []
    assert 0 < second._trusted_seconds() <= recollection.AGAIN_SECONDS
