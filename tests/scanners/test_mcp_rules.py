"""Every rule of our MCP engine matches its examples, and leaves the others alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scanners.catalogue import page, rules_of
from scanners.mcp_rules.command import report_on
from scanners.mcp_rules.texts import texts_of
from tests.scanners.mcp_corpus import document_of

EXAMPLES = Path(__file__).parent / "mcp_examples"
# What servers do when they are started has no document to be found in.
OBSERVED = "MCP-RUNTIME"


def examples() -> dict[str, dict[str, list[dict[str, Any]]]]:
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for path in sorted(EXAMPLES.glob("*.yaml")):
        found |= yaml.safe_load(path.read_text("utf-8"))
    return found


def each(label: str) -> Iterator[Any]:
    for rule, labelled in examples().items():
        for number, short in enumerate(labelled[label], 1):
            yield pytest.param(rule, short, id=f"{rule}#{number}")


def found(short: dict[str, Any]) -> set[str]:
    report = report_on(document_of(short))
    return {entry["rule"] for part in report.values() for entry in part}


@pytest.mark.parametrize(("rule", "short"), list(each("positive")))
def test_a_rule_matches(rule: str, short: dict[str, Any]) -> None:
    assert rule in found(short)


@pytest.mark.parametrize(("rule", "short"), list(each("negative")))
def test_a_rule_leaves_alone(rule: str, short: dict[str, Any]) -> None:
    assert rule not in found(short)


def test_every_rule_has_examples_and_says_why_it_matters() -> None:
    known = examples()
    for code, rule in rules_of("sentrascan-mcp").items():
        if code.rpartition("-")[0] != OBSERVED:
            assert len(known[code]["positive"]) >= 3, code
            assert len(known[code]["negative"]) >= 3, code
            assert rule.why, code


def test_a_span_leads_back_to_what_was_submitted() -> None:
    text = "Adds. \U0001f600 Caf\u00e9, r\u0435\u0430d the f\u0456le"
    report = report_on(document_of({"tool": "a", "says": text}))
    spans = [span for match in report["matches"] for span in match["spans"]]
    assert [text[span["start"] : span["end"]] for span in spans] == [
        "r\u0435\u0430d",
        "f\u0456le",
    ]


def test_it_reads_every_text_at_every_depth() -> None:
    marked = "x{{tags|hi}}"
    schema = {
        "type": "object",
        "properties": {
            marked: {"type": "string", "title": marked, "default": marked},
            "deep": {
                "anyOf": [
                    {"items": {"properties": {"b": {"enum": ["a", marked]}}}},
                    {"description": marked, "examples": [{"k": [marked]}]},
                ],
                "x-note": {marked: 1},
            },
        },
        "$defs": {"c": {"const": marked, "pattern": marked}},
    }
    document = document_of({"tools": [
        {"name": marked, "title": marked, "description": marked,
         "inputSchema": schema, "outputSchema": {"description": marked},
         "annotations": {"title": marked, "note": marked}, "_meta": {"a": marked}}
    ]})  # fmt: skip
    report = report_on(document)
    marks = sum("hi" not in text.value for text in texts_of(document))
    assert marks > 0
    places = {match["pointer"] for match in report["matches"]}
    assert len(places) == 10  # what one element is reported for at most
    tagged = [t for t in texts_of(document) if "\U000e0068\U000e0069" in t.value]
    assert len(tagged) == 16
    assert len({text.pointer for text in tagged}) == 16


def test_the_page_of_the_rules_is_current() -> None:
    """`python -m scanners.catalogue.page` writes it."""
    assert page.PAGE.read_text("utf-8") == page.page()


@pytest.mark.parametrize(
    "piece",
    ["a", " ", "\n", " \n", "<", "<!--", "<a style=", "%41", "&#97;", "\\u0061", "\x1b",
     "12 ", "a ", "a-", "41", "QUJD", "[//]: # (", "\u200b", "\u202e", "\ufe0f",
     "\u0430", "-", "=", "#"],
)  # fmt: skip
def test_no_text_takes_long(piece: str) -> None:
    """A text of 100,000 characters made to be slow; time grows with length alone."""
    text = piece * (100_000 // len(piece))
    started = time.process_time()
    report_on(document_of({"tool": "a", "says": text}))
    report_on(document_of({"tool": "a", "says": f"{text}!"}))
    report_on(document_of({"tool": "a", "says": f"Reads and {text}!"}))
    assert time.process_time() - started < 6
