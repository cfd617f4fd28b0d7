"""Policies as YAML: what is read, what is not, and what reads back the same."""

from __future__ import annotations

import json
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanners.contract import Category, Severity
from scans.gate import DEFAULT_DOCUMENT, PolicyRules
from scans.policy_text import MAX_BYTES, PolicyTextError, read, write

CONTRACT = """\
severity_threshold: high          # an unwaived finding at or above fails the gate
block_categories: [code_execution, tool_poisoning, secret_exposure]
allow_rules: []                   # rule ids that never fail the gate
require_coverage: complete        # complete | partial
require_scanners: []              # names that must have completed
only_new: false                   # judge only findings not in the active baseline
drift: {added: fail, removed: warn, renamed: fail, changed: fail}
require_sbom: false
"""
BOMB = "a: &a [x, x]\n" + "\n".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]" for n in range(20)
)


def test_the_document_of_the_contract_is_the_built_in_default():
    assert read(CONTRACT) == DEFAULT_DOCUMENT
    assert read(CONTRACT.encode()) == DEFAULT_DOCUMENT
    assert read("\ufeff" + CONTRACT) == DEFAULT_DOCUMENT
    assert read(write(DEFAULT_DOCUMENT)) == DEFAULT_DOCUMENT


texts = st.text(st.characters(codec="utf-8"), max_size=20)
documents = st.fixed_dictionaries(
    {},
    optional={
        "severity_threshold": st.sampled_from([s.name.lower() for s in Severity]),
        "block_categories": st.lists(st.sampled_from([str(c.value) for c in Category])),
        "allow_rules": st.lists(texts),
        "require_scanners": st.lists(texts),
        "only_new": st.booleans(),
        "drift": st.dictionaries(
            st.sampled_from(["added", "removed"]), st.sampled_from(["fail", "warn"])
        ),
    },
)


@given(documents)
def test_what_is_written_reads_back_the_same(document):
    assert read(write(document)) == document
    assert PolicyRules.from_document(read(write(document)))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (BOMB, "anchors and aliases"),
        ("a: &x 1\nb: 2", "anchors and aliases"),
        ("a: !!python/object/apply:os.system [id]", "tag"),
        ("a: !!str yes", "tag"),
        ("[" * 100_000, "at most"),
        ("[" * 20_000, "levels deep"),
        ("- 1\n" * 6_000, "parts"),
        ("only_new: true\nonly_new: false", "stands twice"),
        ("drift: {added: fail, added: warn}", "stands twice"),
        ("a: 1\n---\nb: 2", "one document"),
        ("a: [1", "line"),
        ("a: \x00", "special characters"),
        ("yes: 1", "A key is not text"),
        ("1: 1", "A key is not text"),
        ("? [a]\n: 1", "unhashable"),
        ("a: 2027-01-01", "not a JSON value"),
        ("a: .nan", "too large"),
        ("a: 2027-13-01", "not YAML"),
        ('a: "\\ud800"', "surrogate"),
        (f"a: {'9' * 5000}", "not YAML"),
        ("x" * (MAX_BYTES + 1), "at most"),
        (b"\xff\xfe", "UTF-8"),
        ("a: \ud800", "UTF-8"),
    ],
    ids=range(23),
)
def test_what_is_no_plain_yaml_is_refused_at_once(text, why):
    start = time.process_time()
    with pytest.raises(PolicyTextError, match=why):
        read(text)
    assert time.process_time() - start < 5


def test_a_fault_is_told_with_its_place():
    with pytest.raises(PolicyTextError, match=r"line 2, column 20"):
        read("severity_threshold: high\ndrift: {added: fail")


@given(st.text() | st.binary())
def test_any_bytes_are_read_or_refused(raw):
    with suppress(PolicyTextError):
        json.dumps(read(raw), allow_nan=False)
