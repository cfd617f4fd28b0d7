"""Which element is which: names, namesakes, renames, and what may be spent on it."""

from __future__ import annotations

import copy
import time
from collections import Counter
from random import Random
from typing import Any

import pytest

from scanners.contract import Severity
from scans.drift import Element, Kind, Nature, compare
from tests.scans.drift_samples import (
    APPROVED,
    FILE,
    POISON,
    TOOLS,
    Document,
    document,
    drift,
    elements,
    files,
    put,
    shuffled,
)


def renamed(path: str, name: str, *acts: Any) -> Document:
    after = document()
    for act in acts:
        act(after)
    new = f"{path.partition('/')[0]}/{name}"
    tool = after.pop(path)
    after[new] = tool if path.startswith("servers/") else tool | {"name": name}
    return after


NAMES = ("forecast_for_city", "weather2", "x", "get_forecast\u200b", "getForecast")


@pytest.mark.parametrize("path", [*TOOLS, "prompts/summary", "servers/weather"])
@pytest.mark.parametrize("name", NAMES)
def test_a_rename_is_one_change(path: str, name: str) -> None:
    found = drift(APPROVED, renamed(path, name))
    (one,) = found.drifts
    (change,) = one.changes
    head, _, old = path.partition("/")
    assert (one.former, one.element, one.kinds) == (
        path,
        f"{head}/{name}",
        ("renamed",),
    )
    if head != "servers":
        assert (change.path, change.before, change.after) == ("/name", old, name)


@pytest.mark.parametrize("path", TOOLS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", ["behind", "before", "parameter", "both"])
def test_renamed_and_poisoned_is_caught_as_one(path: str, name: str, how: str) -> None:
    poison = put(path, "description", to=lambda text: text + POISON)
    if how == "before":
        poison = put(path, "description", to=lambda text: POISON + text)
    free = put(path, "inputSchema", "properties", "note", to={"type": "string"})
    acts = {"parameter": [free], "both": [poison, free]}.get(how, [poison])
    (one,) = drift(APPROVED, renamed(path, name, *acts)).drifts
    assert (one.former, one.element) == (path, f"tools/{name}")
    assert one.kinds == (Kind.RENAMED, Kind.CHANGED)
    assert one.severity >= Severity.HIGH
    assert one.changes[0].kind is Kind.RENAMED
    assert one.changes[0].severity is one.severity
    wanted = {Nature.SCHEMA_WIDENED} if "parameter" in how or how == "both" else set()
    wanted |= set() if how == "parameter" else {Nature.DESCRIPTION}
    assert wanted <= set(one.natures)


def test_renamed_tools_find_their_own_predecessors() -> None:
    after = document()
    for path in TOOLS:
        tool = after.pop(path)
        name = f"v2_{tool['name']}"
        after[f"tools/{name}"] = tool | {"name": name, "description": POISON}
    found = drift(APPROVED, shuffled(after, Random(1)))
    assert {(one.former, one.element) for one in found.drifts} == {
        (path, f"tools/v2_{path.removeprefix('tools/')}") for path in TOOLS
    }


def test_another_tool_in_the_place_of_one_is_no_rename() -> None:
    after = document()
    after.pop("tools/close_ticket")
    after["tools/run"] = {
        "name": "run",
        "description": "Executes a shell command on this machine.",
        "inputSchema": {"properties": {"command": {"type": "string"}}},
    }
    found = drift(APPROVED, after)
    assert [(c.kind, c.element) for c in found.changes] == [
        (Kind.ADDED, "tools/run"),
        (Kind.REMOVED, "tools/close_ticket"),
    ]


def test_namesakes_of_two_servers_may_stand_in_any_order() -> None:
    one, two = {"name": "search", "description": "A"}, {"name": "search", "title": "B"}
    before = [Element("tools/search", one, "a"), Element("tools/search#2", two, "b")]
    after = [Element("tools/search", two, "b"), Element("tools/search#2", one, "a")]
    assert compare(before, after, is_mcp=True).drifts == ()
    bad = one | {"description": f"A{POISON}"}
    third = Element("tools/search#3", one, "c")
    shadowed = [after[0], Element("tools/search#2", bad, "a"), third]
    changes = compare(before, shadowed, is_mcp=True).changes
    assert [(c.kind, c.element, c.path) for c in changes] == [
        (Kind.CHANGED, "tools/search#2", "/description"),
        (Kind.ADDED, "tools/search#3", ""),
    ]


def test_a_tool_that_moved_is_told_but_not_where_its_server_was_renamed() -> None:
    owners = {"tools/get_forecast": "weather"}
    before = elements(APPROVED, owners)
    moved = elements(APPROVED, {"tools/get_forecast": "tickets"})
    (change,) = compare(before, moved, is_mcp=True).changes
    assert (change.nature, change.before, change.after) == (
        Nature.ENDPOINT,
        "weather",
        "tickets",
    )
    after = elements(
        renamed("servers/weather", "meteo"), {"tools/get_forecast": "meteo"}
    )
    (change,) = compare(before, after, is_mcp=True).changes
    assert change.kind is Kind.RENAMED


def test_files_are_known_again_by_their_bytes_or_by_what_is_inside() -> None:
    other = FILE | {
        "digest": "c" * 64,
        "inside": FILE["inside"],
    }
    before = files(("old/a", FILE), ("readme", {"digest": "d" * 64, "size": 3}))
    for new in (FILE, other):
        after = files(("new/weights", new), before[1:] and ("readme", before[1].value))
        (one,) = compare(before, after, is_mcp=False).drifts
        assert (one.former, one.element) == ("old/a", "new/weights")
        assert one.kinds[0] is Kind.RENAMED


def test_the_folder_that_all_files_lie_in_may_be_called_anything() -> None:
    config = {"digest": "d" * 64, "size": 3}
    before = files(("model-1.0/a", FILE), ("model-1.0/sub/b", config))
    moved = files(("model-2.0/a", FILE), ("model-2.0/sub/b", config))
    assert compare(before, moved, is_mcp=False).drifts == ()
    other = config | {"digest": "e" * 64}
    after = files(("model-2.0/a", FILE), ("model-2.0/sub/b", other))
    (change,) = compare(before, after, is_mcp=False).changes
    assert (change.kind, change.element) == (Kind.CHANGED, "model-2.0/sub/b")
    # What left the folder, or came beside it, is told.
    apart = files(("model-1.0/a", FILE), ("b", config))
    (change,) = compare(before, apart, is_mcp=False).changes
    assert (change.kind, change.element) == (Kind.RENAMED, "b")
    beside = [*before, *files(("x", other))]
    (change,) = compare(before, beside, is_mcp=False).changes
    assert (change.kind, change.element) == (Kind.ADDED, "x")


def test_the_only_file_may_be_called_anything() -> None:
    before, after = files(("v1.bin", FILE)), files(("v2.bin", FILE))
    assert compare(before, after, is_mcp=False).drifts == ()
    changed = files(("v2.bin", FILE | {"digest": "b" * 64}))
    (change,) = compare(before, changed, is_mcp=False).changes
    assert (change.kind, change.element) == (Kind.CHANGED, "v2.bin")


def hostile(count: int, chance: Random) -> list[Element]:
    """Return tools of one shape with long texts that share no word."""
    shape = {name: {"type": "string"} for name in "abcd"}
    return [
        Element(
            f"tools/{name}",
            {
                "name": name,
                "description": " ".join(
                    f"{chance.getrandbits(64):x}" for _ in range(400)
                ),
                "inputSchema": {"properties": shape},
            },
        )
        for name in (f"{chance.getrandbits(900):x}" for _ in range(count))
    ]


def test_renames_are_looked_for_within_a_budget_and_that_is_said() -> None:
    chance = Random(3)
    before, after = hostile(2_000, chance), hostile(2_000, chance)
    started = time.process_time()
    found = compare(before, after, is_mcp=True)
    assert time.process_time() - started < 30  # 4 million pairs would take an hour
    by_kind = Counter(change.kind for change in found.changes)
    assert by_kind[Kind.ADDED] + by_kind[Kind.RENAMED] == 2_000
    assert by_kind[Kind.REMOVED] == by_kind[Kind.ADDED] > 1_000
    (sentence,) = found.not_compared
    assert sentence.startswith("Renamed tools were not looked for")


def test_ten_thousand_tools_are_compared_in_seconds() -> None:
    before = [
        Element(
            f"tools/t{number}", copy.deepcopy(APPROVED[path]) | {"name": f"t{number}"}
        )
        for number, path in enumerate(TOOLS * 3_334)
    ]
    after = [
        Element(f"tools/n{e.path[6:]}", {**e.value, "name": f"n{e.path[6:]}"})
        if number % 2
        else Element(e.path, e.value | {"title": POISON})
        for number, e in enumerate(before)
    ]
    started = time.process_time()
    found = compare(before, after, is_mcp=True)
    assert time.process_time() - started < 30  # 2 on a quiet machine
    kinds = Counter(change.kind for change in found.changes)
    assert kinds == {Kind.CHANGED: 5_001, Kind.RENAMED: 5_001}
    assert found.not_compared == ()
