"""A short drill, and that its tally sees each thing that must not happen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scans import measures, storage
from scans.models import Tally
from tests.drills import tally
from tests.drills.client import Client
from tests.scans.api_samples import make_run, make_scan

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 600  # a guard: on a machine of its own each takes a minute and a half


# --- the drill


def drill(*options: str) -> dict[str, Any]:
    """Run one, which must find no fault; return its tally."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.drills", "--json", *options],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.stdout, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 0, told
    return told


@pytest.mark.slow
def test_no_scan_of_a_short_drill_is_lost_or_judged_twice() -> None:
    """`make test-chaos` does the same for 200 scans; each fault about once here."""
    told = drill("--scans", "30", "--pause", "1.3", "--every", "2.5", "--seed", "30")
    assert told["accepted"] == 30
    assert sum(told["injected"].values()) >= 8, told["injected"]
    assert sum(told["verdicts"].values()) >= 30


@pytest.mark.slow
def test_a_rolling_restart_costs_no_scan_and_no_attempt() -> None:
    """Two web servers, two workers and the clock are asked to end while scans come."""
    told = drill("--rolling", "--pause", "1.5", "--thorough", "0.1", "--seed", "31")
    members = ("web", "web-2", "worker", "worker-2", "beat")
    assert told["injected"] == told["restarts"] == dict.fromkeys(members, 1)
    assert told["accepted"] > len(members)
    assert set(told["attempts"]) == {"1"}, told


# --- the tally itself


@pytest.fixture
def result() -> tally.Result:
    return tally.Result(seed=0)


def client(*accepted: object) -> Client:
    return Client([], "", 0, 0, 0.0, accepted=[str(each) for each in accepted])


@pytest.mark.django_db
def test_all_is_well_when_each_has_one_verdict(result: tally.Result) -> None:
    scans = [make_scan(verdict="pass"), make_scan(scan_status="failed")]
    Tally.objects.add({(measures.VERDICTS, "pass"): 2})
    tally.read(result, client(*(scan.pk for scan in scans)))
    assert result.faults == []
    assert result.verdicts == {"pass": 1, "inconclusive": 1}


@pytest.mark.django_db
def test_a_scan_that_is_gone_is_lost(result: tally.Result) -> None:
    tally.read(result, client("01a21ce7-3def-784b-b64e-52969b7ee6eb"))
    assert result.faults == ["1 scans lost"]


@pytest.mark.django_db
@pytest.mark.parametrize("status", ["queued", "running", "cancelled"])
def test_a_scan_without_a_verdict_is_seen(result: tally.Result, status: str) -> None:
    tally.read(result, client(make_scan(scan_status=status).pk))
    assert result.faults == ["1 scans without a verdict"]


@pytest.mark.django_db
def test_a_scan_that_was_judged_twice_is_seen(result: tally.Result) -> None:
    scan = make_scan()
    Tally.objects.add({(measures.VERDICTS, "pass"): 1})
    Tally.objects.add({(measures.VERDICTS, "fail"): 1})
    tally.read(result, client(scan.pk))
    assert result.faults == ["1 scans judged twice"]


@pytest.mark.django_db
def test_a_scan_with_runs_of_two_attempts_is_seen(result: tally.Result) -> None:
    scan = make_scan()
    Tally.objects.add({(measures.VERDICTS, "pass"): 1})
    for number in range(6):
        make_run(scan, f"scanner-{number}")
    tally.read(result, client(scan.pk))
    assert result.faults == ["1 scans judged twice"]


@pytest.mark.django_db(transaction=True)
def test_a_file_that_nobody_needs_is_seen(
    result: tally.Result, settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DATA_DIR = tmp_path
    settings.UPLOAD_DIR, settings.RUN_DIR = tmp_path / "uploads", tmp_path / "runs"
    stray = storage.incoming_dir() / "half"
    stray.write_bytes(b"x")
    monkeypatch.setattr(tally.retention, "sweep", lambda grace: None)
    tally.read_files(result)
    assert result.orphan_files == ["uploads/incoming/half"]


def test_what_was_wrongly_answered_fails_the_drill(result: tally.Result) -> None:
    result.wrong_answers = ["500 {}"]
    result.orphan_processes = ["python"]
    assert result.faults == ["1 orphan processes", "1 wrong answers"]
