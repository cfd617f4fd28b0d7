"""What our MCP engine finds in the corpus, fenced. `make bench` prints the tables.

The numbers are what was reached; a change of the engine may raise them, never lower
them. New texts, written without a look at the rules, may lower those of the
development half. Of the held-out half only these totals are looked at.
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from benchmarks.mcp_engine import alarmed, counted, many_tools, rules_in, wilson
from scanners.catalogue import rules_of
from scanners.contract import Category, Severity
from tests.scanners.mcp_corpus import cases

RECALL = {"development": 0.78, "held_out": 0.9}
FALSE_ALARMS = {"development": 0.01, "held_out": 0.004}


def share(half: str, kind: str) -> float:
    found = counted(half, kind)
    return sum(alarmed(rules) for _, rules in found) / len(found)


@pytest.mark.parametrize("half", RECALL)
def test_it_catches_what_it_caught(half: str) -> None:
    assert share(half, "malicious") >= RECALL[half]


@pytest.mark.parametrize("half", FALSE_ALARMS)
def test_it_leaves_honest_tools_alone(half: str) -> None:
    assert share(half, "benign") <= FALSE_ALARMS[half]


def test_a_weak_sign_never_fails_a_gate_alone() -> None:
    """Tool poisoning is blocked at any severity: what is weak is called otherwise."""
    for code, rule in rules_of("sentrascan-mcp").items():
        # What a server was seen doing is no sign, but a deed.
        if rule.severity < Severity.HIGH and "RUNTIME" not in code:
            assert rule.category != Category.TOOL_POISONING, code
            assert rule.category != Category.CODE_EXECUTION, code


def test_no_two_of_many_tools_say_the_same() -> None:
    tools = many_tools(2_000)
    assert len({tool["description"] for tool in tools}) == 2_000


def test_an_interval_holds_its_share() -> None:
    low, high = wilson(9, 10)
    assert low < 0.9 < high
    assert (round(low, 3), round(high, 3)) == (0.596, 0.982)
    assert wilson(0, 0) == (0.0, 1.0)


def test_no_document_makes_it_fail() -> None:
    """Values of every kind where others belong; whoever submits may write anything."""
    chance = random.Random(7)
    known = [
        json.dumps(case.document)
        for kind in ("malicious", "benign")
        for case in cases("development", kind)
    ]
    for _ in range(400):
        document = _mutated(json.loads(chance.choice(known)), chance)
        # What `documents` lets through: lists of objects.
        for name in ("tools", "prompts", "resources"):
            given = document.get(name) if isinstance(document, dict) else None
            entries = given if isinstance(given, list) else []
            document = document if isinstance(document, dict) else {}
            document[name] = [each for each in entries if isinstance(each, dict)]
        rules_in(document)


ODD = (
    None,
    True,
    -1.5,
    "",
    [],
    {},
    [None],
    [["a"]],
    {"": {"": ""}},
    ["-v"],
    "\u202e\0",
)


def _mutated(value: Any, chance: random.Random) -> Any:
    if chance.random() < 0.1:
        return chance.choice([*ODD, "http://[::1", "-c", "@", "*", "a@", "//", "$"])
    if isinstance(value, dict):
        names = ("/", "~", "$ref", "args", "env", "")
        return {
            chance.choice(names) if chance.random() < 0.1 else name: _mutated(
                child, chance
            )
            for name, child in value.items()
        }
    if isinstance(value, list):
        return [_mutated(child, chance) for child in value]
    return value


def test_a_huge_schema_is_read_in_time() -> None:
    deep: dict[str, object] = {"type": "string", "description": "The end."}
    for _ in range(80):
        deep = {"type": "object", "properties": {"a": deep}}
    names = [f"value {number} of many" for number in range(50_000)]
    schema = {"properties": {"deep": deep, "wide": {"enum": names}}}
    tool = {"name": "a", "description": "Adds.", "inputSchema": schema}
    assert rules_in({"tools": [tool]}) == set()
