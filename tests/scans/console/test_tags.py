from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from scans.console.tags import ago, duration, is_hidden, relative, visible

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("distance", "said"),
    [
        (timedelta(seconds=2), "just now"),
        (timedelta(seconds=42), "42 s ago"),
        (timedelta(minutes=3, seconds=59), "3 min ago"),
        (timedelta(hours=23), "23 h ago"),
        (timedelta(days=30), "30 d ago"),
        (timedelta(days=40), "25 Mar 2026"),
        (timedelta(minutes=-5), "in 5 min"),
    ],
)
def test_times_are_told_from_now(distance, said):
    assert relative(NOW - distance, NOW) == said


def test_the_exact_time_is_there_too():
    said = ago(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert 'title="2026-01-02 03:04:05 UTC"' in said
    assert 'datetime="2026-01-02T03:04:05+00:00"' in said
    assert ago(None) == "—"


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [
        (None, "—"),
        (40, "0.0 s"),
        (3_456, "3.5 s"),
        (45_000, "45 s"),
        (125_000, "2 min 5 s"),
    ],
)
def test_durations(milliseconds, said):
    assert duration(milliseconds) == said


@pytest.mark.parametrize(
    "char", "\u200b\u202e\u2066\ufeff\u00ad\x00\x1b\u3164\ufe0f\U000e0041"
)
def test_what_nobody_sees_is_shown_by_its_code(char):
    assert f"U+{ord(char):04X}</span>" in visible(f"a{char}b")
    assert char not in visible(f"a{char}b")


@pytest.mark.parametrize("char", "a \n\té漢\u0301-")
def test_what_is_seen_stays(char):
    assert not is_hidden(char)


def test_text_stays_text():
    assert visible("<b>&\u200b") == (
        "&lt;b&gt;&amp;"
        '<span class="hidden-char" title="U+200B zero width space">U+200B</span>'
    )
