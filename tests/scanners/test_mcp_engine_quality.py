"""What our MCP engine finds in the corpus, fenced. `make bench` prints the tables.

The numbers are what was reached; a change may raise them, never lower them. Of the
held-out half only these totals are looked at.
"""

from __future__ import annotations

import pytest

from benchmarks.mcp_engine import alarmed, counted, many_tools, rules_in, wilson
from scanners.catalogue import rules_of
from scanners.contract import Category, Severity

RECALL = {"development": 0.86, "held_out": 0.65}
FALSE_ALARMS = {"development": 0.012, "held_out": 0.044}


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


def test_a_huge_schema_is_read_in_time() -> None:
    deep: dict[str, object] = {"type": "string", "description": "The end."}
    for _ in range(80):
        deep = {"type": "object", "properties": {"a": deep}}
    names = [f"value {number} of many" for number in range(50_000)]
    schema = {"properties": {"deep": deep, "wide": {"enum": names}}}
    tool = {"name": "a", "description": "Adds.", "inputSchema": schema}
    assert rules_in({"tools": [tool]}) == set()
