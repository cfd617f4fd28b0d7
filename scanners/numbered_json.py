"""JSON with one value a line, and which value stands on which line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from scanners.mcp_rules.servers import escape


class Line(NamedTuple):
    """One line of the text; `pointer` (RFC 6901) is the value it holds or opens."""

    text: str
    pointer: str


def numbered_lines(value: Any) -> list[Line]:
    """Return `value` as JSON; line n of a tool's report is index n - 1."""
    return list(_lines(value, "", "", "", ""))


def _lines(
    value: Any, pointer: str, indent: str, prefix: str, suffix: str
) -> Iterator[Line]:
    if not isinstance(value, Mapping | list) or not value:
        yield Line(f"{indent}{prefix}{json.dumps(value)}{suffix}", pointer)
        return
    opening, closing = "{}" if isinstance(value, Mapping) else "[]"
    entries: list[tuple[str, str, Any]]
    if isinstance(value, Mapping):
        entries = [(f"{json.dumps(k)}: ", escape(k), v) for k, v in value.items()]
    else:
        entries = [("", str(number), child) for number, child in enumerate(value)]
    yield Line(f"{indent}{prefix}{opening}", pointer)
    for number, (key, token, child) in enumerate(entries, start=1):
        comma = "," if number < len(entries) else ""
        yield from _lines(child, f"{pointer}/{token}", f"{indent} ", key, comma)
    yield Line(f"{indent}{closing}{suffix}", pointer)
