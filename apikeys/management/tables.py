"""Rows as a table of text, and moments as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return one line a row, the columns below each other; the first row is the head.

    The last column may be of any length.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def moment(time: datetime | None) -> str:
    return time.strftime("%Y-%m-%d %H:%MZ") if time else "-"
