"""Findings by severity and day, as bars. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

NAMES = ("critical", "high", "medium", "low", "info")
HEIGHT = 100.0  # of the picture, whose width is the number of days
NICE = (1, 2, 5)

type Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Bar:
    """One severity on one day, from the bottom of the picture."""

    x: int
    y: float
    height: float
    name: str


@dataclass(frozen=True, slots=True)
class Chart:
    """`lines` are (value, y) of the grid, the highest first."""

    days: Sequence[tuple[date, Counts]]
    bars: Sequence[Bar]
    lines: Sequence[tuple[int, float]]
    totals: Counts

    @property
    def width(self) -> int:
        return len(self.days)

    @property
    def total(self) -> int:
        return sum(self.totals.values())

    @property
    def summary(self) -> str:
        """What the picture shows, in words."""
        told = [f"{count:,} {name}" for name, count in self.totals.items() if count]
        found = ", ".join(told) if told else "no findings"
        return f"Findings of the last {self.width} days: {found}"


def drawn(found: Mapping[date, Counts], *, last: date, days: int) -> Chart:
    """Return the chart of the `days` until `last`; a day without rows is empty."""
    every = [last - timedelta(days=back) for back in range(days - 1, -1, -1)]
    counted = [(day, found.get(day, {})) for day in every]
    highest = max((sum(counts.values()) for _, counts in counted), default=0)
    top = ceiling(highest)
    bars = [
        bar for x, (_, counts) in enumerate(counted) for bar in _bars(x, counts, top)
    ]
    totals = {name: sum(counts.get(name, 0) for _, counts in counted) for name in NAMES}
    lines = [(top, 0.0), (top // 2, HEIGHT / 2)] if top > 1 else [(top, 0.0)]
    return Chart(counted, bars, lines, totals)


def ceiling(value: int) -> int:
    """Return the next of 2, 4, 10, 20, 40, 100 ...: even, so that its half is whole."""
    scale = 1
    while True:
        for nice in NICE:
            if value <= (top := 2 * nice * scale):
                return top
        scale *= 10


def _bars(x: int, counts: Counts, top: int) -> list[Bar]:
    bars, y = [], HEIGHT
    for name in NAMES[::-1]:  # the gravest lies on top, where bars end unevenly
        if count := counts.get(name, 0):
            height = count / top * HEIGHT
            y -= height
            bars.append(Bar(x, round(y, 2), round(height, 2), name))
    return bars
