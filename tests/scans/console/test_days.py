from __future__ import annotations

from datetime import date, timedelta

import pytest

from scans.console.days import HEIGHT, ceiling, drawn

LAST = date(2026, 3, 31)


@pytest.mark.parametrize(
    ("value", "top"),
    [(0, 2), (2, 2), (3, 4), (5, 10), (11, 20), (21, 40), (41, 100), (1001, 2000)],
)
def test_the_scale_ends_at_a_round_number_with_a_whole_half(value, top):
    assert ceiling(value) == top


def test_bars_of_a_day_stand_on_each_other_and_fill_what_they_should():
    found = {LAST: {"critical": 1, "high": 2, "info": 1}}
    chart = drawn(found, last=LAST, days=3)
    assert [bar.x for bar in chart.bars] == [2, 2, 2]
    assert [bar.name for bar in chart.bars] == ["info", "high", "critical"]
    assert sum(bar.height for bar in chart.bars) == HEIGHT  # 4 of 4
    assert min(bar.y for bar in chart.bars) == 0
    assert chart.totals["high"] == 2
    assert chart.summary == ("Findings of the last 3 days: 1 critical, 2 high, 1 info")


def test_days_without_rows_are_there_and_those_beyond_are_not():
    found = {LAST - timedelta(days=9): {"low": 5}}
    chart = drawn(found, last=LAST, days=2)
    assert [day for day, _ in chart.days] == [LAST - timedelta(days=1), LAST]
    assert chart.bars == []
    assert chart.summary.endswith("no findings")
