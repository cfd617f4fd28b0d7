"""A worker's warm hosts do its scans, and go with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from scanners.hosts import Hosts
from scans import warmth
from scans.models import worker_name
from tests.scanners.standin import strongest
from tests.scans import stand_ins
from tests.scans.builders import queued_scan, run_now

pytestmark = [pytest.mark.django_db(transaction=True)]


class Witness(stand_ins.StandIn):
    """Finds HOST in a warm host, and nothing in a new process."""

    name = "witness"
    code = (
        "import sys; "
        "print('words: HOST' if 'scanners.warm_host' in sys.modules else 'words:')"
    )


@pytest.fixture
def kept(settings, tmp_path: Path) -> Iterator[Hosts]:
    settings.HOSTS_DIR = tmp_path
    with stand_ins.kept_warm(tmp_path, [Witness()], strongest()) as hosts:
        yield hosts


@pytest.fixture(autouse=True)
def witness(monkeypatch: pytest.MonkeyPatch) -> None:
    from scans import pipeline

    monkeypatch.setattr(pipeline, "scanners_for", lambda kind: [Witness()])
    monkeypatch.setattr(pipeline, "installed", stand_ins.own_tool)


def test_a_scan_is_done_by_the_host_of_its_worker(kept: Hosts) -> None:
    scan = run_now(queued_scan({"m": b"w"}))
    assert [finding.rule for finding in scan.findings.all()] == ["witness:HOST"]


def test_without_hosts_a_scan_runs_all_the_same(settings, kept: Hosts) -> None:
    settings.HAS_WARM_HOSTS = False
    scan = run_now(queued_scan({"m": b"w"}))
    assert scan.runs.get().status == "completed"
    assert not scan.findings.exists()
    assert warmth.keeper(os.getpid()) is None


def test_what_a_killed_worker_left_is_swept(settings, tmp_path: Path) -> None:
    settings.HOSTS_DIR = tmp_path
    dead, alive = (tmp_path / worker_name(pid) for pid in (4_194_305, os.getpid()))
    dead.mkdir()
    alive.mkdir()
    assert warmth.keeper(os.getpid()) is not None
    assert alive.exists()
    assert not dead.exists()
