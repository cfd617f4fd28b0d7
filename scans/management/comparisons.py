"""How two snapshots differ, as text for people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from scans.exports.shapes import Row
from scans.management.reporting import plain

MOST_CHANGES = 500
MOST_CHARACTERS = 400  # of one value


def comparison(found: Row) -> Iterator[str]:
    """Yield lines: each element that differs, its changes, both values of each."""
    changes = found["changes"]
    for element, rows in groupby(changes[:MOST_CHANGES], itemgetter("element")):
        yield plain(element)
        for row in rows:
            yield from _change(row)
    if (more := len(changes[MOST_CHANGES:]) + found["omitted"]) > 0:
        yield f"... and {more} more changes; --json lists {len(changes)}"
    for sentence in found["not_compared"]:
        yield f"not compared: {plain(sentence)}"
    if not changes and not found["not_compared"]:
        yield "Nothing differs."


def _change(row: Row) -> Iterator[str]:
    what = row["nature"].replace("_", " ")
    place = f" {plain(row['path'])}" if row["path"] else ""
    note = "" if what in {"element", "name"} else f" ({what})"
    yield f"  {row['severity']:<8}  {row['kind']}{place}{note}"
    for mark, value in (("-", row["before"]), ("+", row["after"])):
        # Where one side is nothing the other says all.
        if value is not None:
            yield f"    {mark} {_shown(value)}"


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    line = plain(text)
    if len(line) <= MOST_CHARACTERS:
        return line
    # What was put in is often at the end.
    half = MOST_CHARACTERS // 2
    return f"{line[:half]} … {line[-half:]}"
