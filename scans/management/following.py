"""Shows how scans get on until they are finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from scans.management.doors import FINISHED, Document, Door
from scans.management.reporting import plain

# A fast scan ends in seconds; one that takes minutes is asked less often.
FIRST_PAUSE_SECONDS = 0.3
LONGEST_PAUSE_SECONDS = 2.0
TICK_SECONDS = 0.1
# Weights of a scan that runs, for the bar: fetched, then scanner by scanner.
FETCHED = 0.1


def follow(
    door: Door,
    scans: Sequence[Document],
    console: Console,
    *,
    is_over: Callable[[], bool] = lambda: False,
) -> list[Document]:
    """Return the scans as they ended, in their order.

    Bars on a terminal, a line for each change elsewhere. `is_over` is asked about ten
    times a second and ends the watch early: the scans are then as they were last seen.
    """
    latest = {scan["scan_id"]: scan for scan in scans}
    pause = FIRST_PAUSE_SECONDS
    with _board(console) as board:
        for scan in scans:
            board.show(scan)
        while not is_over():
            door.work()
            for scan_id in [i for i, s in latest.items() if not _is_finished(s)]:
                latest[scan_id] = door.scan(scan_id)
                board.show(latest[scan_id])
            open_count = sum(not _is_finished(scan) for scan in latest.values())
            if not open_count:
                break
            # Each look is a request per scan, and those are limited.
            _rest(pause * max(1, open_count / 2), is_over)
            pause = min(pause * 1.1, LONGEST_PAUSE_SECONDS)
    return [latest[scan["scan_id"]] for scan in scans]


def _rest(seconds: float, is_over: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0 and not is_over():
        time.sleep(min(left, TICK_SECONDS))


def _is_finished(scan: Document) -> bool:
    return scan.get("scan_status") in FINISHED


def stage_of(scan: Document) -> str:
    """Say where a scan is, in a few words."""
    status = str(scan["scan_status"])
    progress = scan.get("progress") or {}
    if status != "running":
        return str(scan.get("verdict") or status)
    if progress.get("stage") == "scan" and progress.get("total"):
        return f"scanning, {progress['done']} of {progress['total']} scanners done"
    return "fetching" if progress.get("stage") == "fetch" else "running"


def _share(scan: Document) -> float:
    progress = scan.get("progress") or {}
    if _is_finished(scan):
        return 1.0
    if scan["scan_status"] == "queued":
        return 0.0
    if progress.get("stage") == "scan" and progress.get("total"):
        done = float(progress["done"]) / float(progress["total"])
        return FETCHED + (0.95 - FETCHED) * done
    return FETCHED / 2


def _board(console: Console) -> _Bars | _Lines:
    return _Bars(console) if console.is_terminal else _Lines(console)


class _Lines:
    """For logs: one line a change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return

    def show(self, scan: Document) -> None:
        line = f"{plain(scan['target'])}: {stage_of(scan)}"
        if self._said.get(scan["scan_id"]) != line:
            self._said[scan["scan_id"]] = line
            self._console.print(
                line, markup=False, highlight=False, emoji=False, soft_wrap=True
            )


class _Bars:
    """For people: a bar a scan."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("  {task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[stage]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            # No thread of its own: who watches processes must not fork beside one.
            auto_refresh=False,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, scan: Document) -> None:
        scan_id = scan["scan_id"]
        if scan_id not in self._tasks:
            self._tasks[scan_id] = self._progress.add_task(
                plain(scan["target"]), total=1.0, stage=stage_of(scan)
            )
        self._progress.update(
            self._tasks[scan_id], completed=_share(scan), stage=stage_of(scan)
        )
        self._progress.refresh()
