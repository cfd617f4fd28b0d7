"""How far a long command is: a bar on a terminal, a line for each stage elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

TICK_SECONDS = 0.1


def bar(console: Console, *, is_transient: bool = False) -> Progress:
    """Return bars with a description and, in the field `stage`, where each is."""
    return Progress(
        TextColumn("  {task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[stage]}", markup=False),
        TimeElapsedColumn(),
        console=console,
        # No thread of its own: who watches processes must not fork beside one.
        auto_refresh=False,
        transient=is_transient,
    )


class Meter:
    """Shows one stage after the other; use it as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = bar(console, is_transient=True)
        self._task: TaskID | None = None
        self._drawn = 0.0
        self._done = self._total = 0
        self._unit = ""

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def begin(self, stage: str, total: int = 0, unit: str = "") -> None:
        """Begin a stage of `total` units (`rows`, `bytes`); 0 where nobody knows."""
        self._done, self._total, self._unit = 0, total, unit
        if not self._console.is_terminal:
            figures = f": {self._amount(total)}" if total else ""
            self._console.print(f"{stage}{figures}", markup=False, highlight=False)
            return
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(stage, total=total or None, stage="")
        self._bar.refresh()

    def moved(self, count: int) -> None:
        self._done += count
        if self._task is None or time.monotonic() - self._drawn < TICK_SECONDS:
            return
        self._drawn = time.monotonic()
        of = f" of {self._amount(self._total)}" if self._total else ""
        figures = f"{self._amount(self._done)}{of}"
        self._bar.update(self._task, completed=self._done, stage=figures)
        self._bar.refresh()

    def _amount(self, count: int) -> str:
        return decimal(count) if self._unit == "bytes" else f"{count:,} {self._unit}"
