"""The corpus that our MCP engine is measured on is what it says it is."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from scanners.documents import elements_of, read_document
from tests.scanners.mcp_corpus import HALVES, Case, document_of, every


@pytest.mark.parametrize("case", list(every()), ids=str)
def test_every_case_is_a_document_that_a_client_may_submit(case: Case) -> None:
    given = {name: value for name, value in case.document.items() if value}
    document = read_document(given)
    assert document == case.document
    assert elements_of(document)


def test_it_is_large_enough() -> None:
    counts = Counter((case.half, case.kind) for case in every())
    for half in HALVES:
        assert counts[half, "malicious"] >= 150
        assert counts[half, "benign"] >= 250


def test_no_two_cases_say_the_same() -> None:
    said = Counter(json.dumps(case.document, sort_keys=True) for case in every())
    assert [text for text, count in said.items() if count > 1] == []


def test_the_halves_share_no_name() -> None:
    """A rule that learned a tool's name by heart gains nothing on the other half."""
    names = {half: set[str]() for half in HALVES}
    for case in every():
        names[case.half].update(tool["name"] for tool in case.document["tools"])
    assert names["development"] & names["held_out"] == set()


def test_what_is_hidden_is_written_out() -> None:
    (tool,) = document_of({"tool": "a", "says": "b {{tags|hi}} {{hex|hi}}"})["tools"]
    assert tool["description"] == "b \U000e0068\U000e0069 6869"
