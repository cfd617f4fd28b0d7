from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from scans.console import diffs
from scans.console.diffs import DiffRow, side_by_side

LINES = st.lists(st.text("ab c", max_size=4), max_size=8).map("\n".join)


def texts(rows: list[DiffRow], side: str) -> list[str]:
    found = [getattr(row, side) for row in rows]
    return ["".join(text for text, _ in each.pieces) for each in found if each]


def test_what_belongs_together_stands_side_by_side():
    rows = side_by_side("a: 1\nb: 2\nc: 3", "a: 1\nb: 5\nc: 3\nd: 4")
    assert [row.is_same for row in rows] == [True, False, True, False]
    changed = rows[1]
    assert changed.before.pieces == [("b: ", False), ("2", True)]
    assert changed.after.pieces == [("b: ", False), ("5", True)]
    assert rows[3].before is None
    assert rows[3].after.number == 4


@given(LINES, LINES)
def test_nothing_of_either_text_is_lost(before, after):
    rows = side_by_side(before, after)
    assert texts(rows, "before") == before.splitlines()
    assert texts(rows, "after") == after.splitlines()
    for row in rows:
        if row.before and row.after:
            same = texts([row], "before") == texts([row], "after")
            assert row.is_same == same


def test_a_text_too_long_to_compare_is_told_line_by_line(monkeypatch):
    monkeypatch.setattr(diffs, "MOST_LINES", 2)
    rows = side_by_side("a\nb\nc", "a\nx\nc")
    assert [row.is_same for row in rows] == [True, False, True]


def test_a_line_too_long_to_compare_differs_as_a_whole(monkeypatch):
    monkeypatch.setattr(diffs, "MOST_WORDS", 2)
    (row,) = side_by_side("a b c", "a b d")
    assert row.before.pieces == [("a b c", True)]


def test_a_hostile_text_is_compared_in_no_time():
    words = [f"w{n % 7}" for n in range(1_400)]
    before, after = " ".join(words[:700]), " ".join(reversed(words[:700]))
    begun = time.process_time()
    for _ in range(20):
        side_by_side(before, after)
    assert time.process_time() - begun < 5


def test_only_a_line_feed_ends_a_line():
    (row,) = side_by_side("a\u2028b", "a\u2028c")
    assert row.before.pieces[0] == ("a\u2028", False)
