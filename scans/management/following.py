"""Shows how files are sent, and how their scans get on until they are finished."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

from rich.console import Console
from rich.filesize import decimal
from rich.progress import TaskID

from scans.management.doors import FINISHED, Document, Door, Moved
from scans.management.meter import TICK_SECONDS, bar
from scans.management.orders import Order
from scans.management.reporting import plain

# A fast scan ends in seconds; one that takes minutes is asked less often.
FIRST_PAUSE_SECONDS = 0.3
LONGEST_PAUSE_SECONDS = 2.0
_STAGES = {"fetch": "fetching", "scan": "scanning"}


@contextmanager
def sending(order: Order, console: Console) -> Iterator[Moved]:
    """Show on a terminal how much of the order's bytes has gone, in the block."""
    total = sum(part.path.stat().st_size for part in order.parts)
    sent = bar(console, is_transient=True)
    done, drawn = 0, time.monotonic()

    def moved(count: int) -> None:
        nonlocal done, drawn
        done += count
        if time.monotonic() - drawn < TICK_SECONDS:
            return
        drawn = time.monotonic()
        stage = f"sending, {_part(done, total)}"
        sent.update(task, completed=done, stage=stage)
        sent.refresh()

    if not console.is_terminal:
        yield lambda _: None
        return
    with sent:
        task = sent.add_task(plain(order.target), total=total, stage="sending")
        yield moved


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


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Yield whether Ctrl-C came in the block; only a second one interrupts it.

    An interrupt raised wherever the program happens to be is lost in a destructor and
    leaves a database connection in the middle of a query.
    """
    is_asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal is_asked
        is_asked = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: is_asked
    finally:
        signal.signal(signal.SIGINT, before)


def _rest(seconds: float, is_over: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0 and not is_over():
        time.sleep(min(left, TICK_SECONDS))


def _is_finished(scan: Document) -> bool:
    return scan.get("scan_status") in FINISHED


def stage_of(scan: Document) -> str:
    """Say in a word or two where a scan is."""
    status = str(scan["scan_status"])
    progress = scan.get("progress") or {}
    if status != "running":
        return str(scan.get("verdict") or status)
    return _STAGES.get(str(progress.get("stage")), "running")


def share_of(scan: Document) -> tuple[str, float]:
    """Return where a scan is with its figures, and how much of that stage is done.

    While scanners run that is the time, of all that they may take: most end long
    before. Only a finished scan has done it all.
    """
    stage = stage_of(scan)
    progress = scan.get("progress") or {}
    done, total = progress.get("done", 0), progress.get("total", 0)
    if stage == "scanning" and total:
        stage = f"{stage}, {done} s of at most {total} s"
    elif stage == "fetching" and done:
        stage = f"{stage}, {_part(done, total)}"
    elif scan["scan_status"] == "running":
        return stage, 0.0
    else:
        return stage, float(_is_finished(scan))
    return stage, min(done / total, 0.99) if total else 0.0


def _part(done: int, total: int) -> str:
    return f"{decimal(done)} of {decimal(total)}" if total else decimal(done)


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
        self._progress = bar(console)
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
        stage, share = share_of(scan)
        if scan_id not in self._tasks:
            self._tasks[scan_id] = self._progress.add_task(
                plain(scan["target"]), total=1.0, stage=stage
            )
        self._progress.update(self._tasks[scan_id], completed=share, stage=stage)
        self._progress.refresh()
