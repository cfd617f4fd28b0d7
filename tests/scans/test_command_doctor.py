"""`doctor`, by the real command, with the real scanners."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import pytest

from scans.management import checkup
from scans.models import Worker
from tests.project.running import environment, sentrascan
from tests.servers import free_port

FIRST = ("modelaudit", "mcp-checkpoint", "cisco-scanner")


def available(output: str) -> dict[str, str]:
    """Return the versions of the lines that say `available`."""
    return dict(re.findall(r"^✅ ([\w-]+): available \((.+)\)$", output, re.MULTILINE))


def row(name: str, versions: dict[str, str], **broken: str) -> None:
    scanners = {
        scanner: {"status": "available", "version": version, "reason": ""}
        for scanner, version in versions.items()
    }
    for scanner, reason in broken.items():
        scanners[scanner] |= {"status": "broken", "reason": reason}
    Worker.objects.create(name=name, sandbox="landlock", scanners=scanners)


@pytest.mark.slow
@pytest.mark.usefixtures("tools")
def test_it_runs_a_detection_here_and_asks_every_worker(process_environment):
    alone = sentrascan("doctor", env=process_environment | {"LC_ALL": "C"})
    assert alone.returncode == 1
    for name, line in zip(FIRST, alone.stdout.splitlines(), strict=False):
        assert re.fullmatch(rf"✅ {name}: available \(\d+(\.\d+)+\)", line)
    assert "❌ workers: missing: none is live" in alone.stdout
    found = available(alone.stdout)
    assert {"database", "broker", "sandbox", "sentrascan-files"} <= set(found)
    versions = {
        name: version
        for name, version in found.items()
        if name in FIRST or name.startswith("sentrascan-")
    }
    row("good:1", versions)
    well = sentrascan("doctor", env=process_environment)
    assert well.returncode == 0, well.stdout
    assert available(well.stdout)["workers"] == "1 live"
    row("bad:2", versions, modelaudit="it did not find what was planted")
    ill = sentrascan("doctor", "--json", env=process_environment)
    assert ill.returncode == 1
    document = json.loads(ill.stdout)
    assert document["is_good"] is False
    by_name = {one["scanner"]: one for one in document["scanners"]}
    assert by_name["modelaudit"]["status"] == "broken"
    assert "bad:2" in by_name["modelaudit"]["reason"]
    assert by_name["cisco-scanner"]["status"] == "available"
    assert {one["name"] for one in document["workers"]["live"]} == {"good:1", "bad:2"}


@pytest.mark.slow
def test_a_missing_tool_and_servers_that_are_away_are_said_in_lines(tmp_path: Path):
    env = environment(
        tmp_path / "data",
        SENTRASCAN_SCANNERS_DIR=str(tmp_path / "none"),
        DATABASE_URL=f"postgres://nobody@127.0.0.1:{free_port()}/nothing",
        CELERY_BROKER_URL=f"redis://127.0.0.1:{free_port()}/0",
    )
    result = sentrascan("doctor", env=env)
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    for name, line in zip(FIRST, lines, strict=False):
        assert line.startswith(f"❌ {name}: missing: "), line
    assert "❌ database: broken: " in result.stdout
    assert "❌ broker: broken: " in result.stdout
    assert "❌ workers: missing: the database does not say" in result.stdout
    assert result.stderr == ""


@pytest.mark.slow
def test_a_database_without_tables_is_broken(tmp_path: Path):
    env = environment(tmp_path, SENTRASCAN_SCANNERS_DIR=str(tmp_path / "none"))
    result = sentrascan("doctor", env=env)
    assert result.returncode == 1
    line = r"❌ database: broken: \d+ migrations are missing: sentrascan migrate"
    assert re.search(line, result.stdout)


@pytest.mark.django_db
def test_a_worker_that_starts_while_it_tries_the_scanners_is_seen(monkeypatch):
    """As after `up -d`, which returns before the worker says that it lives."""
    tried = threading.Event()

    def later(_: float) -> None:
        if not Worker.objects.exists():
            row("late:1", {"modelaudit": "1"})
        tried.set()

    monkeypatch.setattr(checkup.time, "sleep", later)
    (seen,) = checkup._live_workers(tried)
    assert seen.name == "late:1"


@pytest.mark.django_db
def test_none_is_live_once_all_is_tried():
    tried = threading.Event()
    tried.set()
    assert checkup._live_workers(tried) == []


def test_a_weak_rung_says_what_it_lets_through():
    worker = checkup.LiveWorker("far:1", "rlimits", None)
    assert "every file" in checkup._sandbox([worker]).detail
    assert "every file" not in checkup._sandbox([]).detail
