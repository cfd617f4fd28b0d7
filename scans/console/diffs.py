"""Two texts side by side: which lines differ, and what in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rapidfuzz.distance import LCSseq

# Comparing takes the square of the lines or words: beyond these only whole lines, or
# whole texts, are told to differ.
MOST_LINES = 2_000
MOST_WORDS = 1_500
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")

type Pieces = list[tuple[str, bool]]


@dataclass(frozen=True, slots=True)
class Side:
    """One line of one text; `pieces` are its parts and whether each differs."""

    number: int
    pieces: Pieces


@dataclass(frozen=True, slots=True)
class DiffRow:
    """One row: a side is None where the text has no such line."""

    before: Side | None
    after: Side | None
    is_same: bool


def side_by_side(before: str, after: str) -> list[DiffRow]:
    """Return all lines of both texts, those that belong together in one row."""
    olds, news = _lines(before), _lines(after)
    if max(len(olds), len(news)) > MOST_LINES:
        return _pairs(olds, news, 0, 0)
    rows: list[DiffRow] = []
    for is_same, (i, i_end), (j, j_end) in _runs(olds, news):
        if is_same:
            rows += [
                DiffRow(_whole(i + k, line), _whole(j + k, line), is_same=True)
                for k, line in enumerate(olds[i:i_end])
            ]
        else:
            rows += _pairs(olds[i:i_end], news[j:j_end], i, j)
    return rows


def _runs(
    olds: Sequence[str], news: Sequence[str]
) -> Iterator[tuple[bool, tuple[int, int], tuple[int, int]]]:
    """Yield what is the same in both and what is not, in turn, as ranges."""
    # Not difflib: hostile texts keep it busy for minutes.
    i = j = 0
    for block in LCSseq.opcodes(olds, news):
        if block.tag != "equal":
            continue
        if (i, j) != (block.src_start, block.dest_start):
            yield False, (i, block.src_start), (j, block.dest_start)
        yield True, (block.src_start, block.src_end), (block.dest_start, block.dest_end)
        i, j = block.src_end, block.dest_end
    if (i, j) != (len(olds), len(news)):
        yield False, (i, len(olds)), (j, len(news))


def _lines(text: str) -> list[str]:
    # Not splitlines(): what else ends a line for Python is a character to be shown.
    lines = re.split(r"\r\n|\n", text)
    return lines if lines[-1] else lines[:-1]


def _pairs(
    olds: Sequence[str], news: Sequence[str], first_old: int, first_new: int
) -> list[DiffRow]:
    rows = []
    for k, (old, new) in enumerate(zip_longest(olds, news)):
        left = right = None
        if old is not None and new is not None:
            old_pieces, new_pieces = in_line(old, new)
            left = Side(first_old + k + 1, old_pieces)
            right = Side(first_new + k + 1, new_pieces)
        elif old is not None:
            left = Side(first_old + k + 1, [(old, True)])
        elif new is not None:
            right = Side(first_new + k + 1, [(new, True)])
        rows.append(DiffRow(left, right, is_same=old == new))
    return rows


def in_line(old: str, new: str) -> tuple[Pieces, Pieces]:
    """Return the parts of two lines, word by word, and which of them differ."""
    olds, news = _WORDS.findall(old), _WORDS.findall(new)
    if max(len(olds), len(news)) > MOST_WORDS:
        return [(old, old != new)], [(new, old != new)]
    left: Pieces = []
    right: Pieces = []
    for is_same, (i, i_end), (j, j_end) in _runs(olds, news):
        if i < i_end:
            left.append(("".join(olds[i:i_end]), not is_same))
        if j < j_end:
            right.append(("".join(news[j:j_end]), not is_same))
    return left, right


def _whole(index: int, line: str) -> Side:
    return Side(index + 1, [(line, False)])
