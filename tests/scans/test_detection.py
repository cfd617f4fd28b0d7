"""Detections: a scanner finds what was planted, and scans go first meanwhile."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from scanners.contract import Limits, ScannerError
from scans import detection
from scans.detection import AWAITED_SECONDS, BEHIND_SECONDS, NICENESS, detect_all

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def cold(settings: Any, tmp_path: Path) -> None:
    settings.HAS_WARM_HOSTS = False
    settings.RUN_DIR = tmp_path / "runs"


def priorities(*, is_awaited: bool) -> set[int]:
    """Try all scanners, which must do well; return the priorities seen meanwhile."""
    found: list[Any] = []
    seen: set[int] = set()
    trying = threading.Thread(
        target=lambda: found.extend(detect_all(is_awaited=is_awaited))
    )
    trying.start()
    while trying.is_alive():
        for process in _descendants(os.getpid()):
            with suppress(ProcessLookupError):
                seen.add(os.getpriority(os.PRIO_PROCESS, process))
        trying.join(0.1)
    assert [one.reason for one in found if not one.is_available] == []
    return seen


@pytest.mark.usefixtures("tools")
def test_detections_run_behind_scans() -> None:
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    seen = priorities(is_awaited=False)
    # whatever else this test process has started before has our own priority
    assert seen <= {ours, ours + NICENESS}
    assert ours + NICENESS in seen
    assert os.getpriority(os.PRIO_PROCESS, threading.main_thread().native_id or 0) == (
        ours
    )


@pytest.mark.usefixtures("tools")
def test_one_that_somebody_waits_for_does_not_step_back() -> None:
    assert priorities(is_awaited=True) == {os.getpriority(os.PRIO_PROCESS, 0)}


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize(
    ("is_awaited", "seconds"), [(True, AWAITED_SECONDS), (False, BEHIND_SECONDS)]
)
def test_who_goes_behind_scans_gets_more_time(
    monkeypatch: pytest.MonkeyPatch, is_awaited: bool, seconds: float
) -> None:
    given: list[float] = []

    def refuse(*_: Any, limits: Limits, **__: Any) -> None:
        given.append(limits.wall_seconds)
        raise ScannerError("not now")

    monkeypatch.setattr(detection.runner, "run", refuse)
    found = detect_all(is_awaited=is_awaited)
    assert {one.reason for one in found} == {"not now"}
    assert set(given) == {seconds}
    assert AWAITED_SECONDS < BEHIND_SECONDS


def _descendants(process: int) -> Iterator[int]:
    with suppress(OSError):
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            for child in map(int, children.read_text().split()):
                yield child
                yield from _descendants(child)
