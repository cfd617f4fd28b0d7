"""A change that hides behind a name: of a field, of a place, of a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.scans.drift_documents import TEXT, beside, comparison, tool, tools


@pytest.fixture
def compared(tmp_path: Path) -> Any:
    return comparison(tmp_path)


def away(**more: Any) -> Any:
    url = "https://h.example/mcp?to=good"
    return {"config": {"mcpServers": {"gh": {"url": url, **more}}}}


HIDING = {
    "a query, behind a field of the name that it is kept under": (
        away(),
        away(url="https://h.example/mcp?to=evil", url_query="to=good"),
    ),
    "such a field alone": (away(url_query="a"), away(url_query="b")),
    "a query that became a fragment": (
        away(),
        away(url="https://h.example/mcp#to=good"),
    ),
    "a setting, behind another one below an empty key": (
        beside(autoAccept=False),
        beside(autoAccept=True, **{"": {"autoAccept": False}}),
    ),
    "a setting that was moved below an empty key": (
        beside(permissions={"deny": ["Bash"]}),
        beside(**{"": {"permissions": {"deny": ["Bash"]}}}),
    ),
    "a setting that was moved where its place reads the same": (
        beside(**{"a.b": {"permissions": {"deny": ["Bash"]}}}),
        beside(a={"b": {"permissions": {"deny": ["Bash"]}}}),
    ),
    "the name of a server, by a blank": (
        {"config": {"mcpServers": {"gh": {"command": "x"}}}},
        {"config": {"mcpServers": {"gh\u2003": {"command": "x"}}}},
    ),
    "an input beside the servers in a user's settings": (
        {"mcp": {"servers": {"gh": {"command": "x"}}, "inputs": []}},
        {
            "mcp": {
                "servers": {"gh": {"command": "x"}},
                "inputs": [{"id": "t", "type": "command", "command": "other"}],
            }
        },
    ),
    "that a list may be empty": (
        tools(tool(x={"type": "array", "contains": {}})),
        tools(tool(x={"type": "array"})),
    ),
    "text in characters of the tag plane that nobody assigned": (
        tools(tool()),
        tools(tool(text=TEXT + "\U000e0080\U000e0fff")),
    ),
}


@pytest.mark.parametrize(("before", "after"), HIDING.values(), ids=HIDING)
def test_nothing_hides_behind_another_name(
    compared: Any, before: Any, after: Any
) -> None:
    assert compared(before, after)
    assert compared(after, before)


def test_unassigned_tags_are_hidden_unicode(compared: Any) -> None:
    [change] = compared(
        *HIDING["text in characters of the tag plane that nobody assigned"]
    )
    assert change.nature == "hidden_unicode"
