"""The drift of a target: what is told, what it is called, what is no drift."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanners.contract import Severity
from scans.drift import Kind, Nature, compare
from tests.scans.drift_samples import (
    APPROVED,
    FILE,
    TOOLS,
    Document,
    Mutation,
    document,
    drift,
    files,
    mutations,
    shuffled,
)

MUTATIONS = {mutation.name: mutation for mutation in mutations()}


def test_there_are_mutations_of_every_nature() -> None:
    assert len(MUTATIONS) >= 100
    natures = {mutation.nature for mutation in MUTATIONS.values()}
    of_files = {Nature.CONTENT, Nature.FORMAT, Nature.INSIDE}
    assert natures == set(Nature) - of_files - {Nature.ELEMENT, Nature.NAME}


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_a_mutation_is_told_once_at_its_place_and_by_its_name(
    mutation: Mutation,
) -> None:
    after = document()
    mutation.act(after)
    found = drift(APPROVED, after)
    (change,) = found.changes
    told = (change.kind, change.element, change.path, change.nature)
    assert told == (mutation.kind, mutation.element, mutation.path, mutation.nature)
    assert value_at(APPROVED, change.element, change.path) == change.before
    assert value_at(after, change.element, change.path) == change.after
    assert found.not_compared == ()
    worst = {Nature.SCHEMA_NARROWED: "MEDIUM", Nature.OTHER: "MEDIUM"}
    worst[Nature.HIDDEN_UNICODE] = "CRITICAL"
    assert change.severity is Severity[worst.get(change.nature, "HIGH")]


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_a_mutation_is_told_the_same_in_another_order(mutation: Mutation) -> None:
    after = document()
    mutation.act(after)
    found = drift(APPROVED, shuffled(after, Random(mutation.name)))
    (change,) = found.changes
    assert (change.element, change.nature) == (mutation.element, mutation.nature)


@given(st.integers())
def test_neither_order_nor_white_space_is_drift(seed: int) -> None:
    chance = Random(seed)
    after = shuffled(
        json.loads(json.dumps(APPROVED, indent=chance.choice([1, None]))), chance
    )
    assert drift(APPROVED, after).drifts == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"type": "string"}, {"type": ["string"]}),
        ({"enum": ["a", "b", "a"]}, {"enum": ["b", "a"]}),
        ({"type": "object"}, {"type": "object", "required": []}),
        ({"type": "object"}, {"type": "object", "properties": {}}),
        ({"maximum": 1}, {"maximum": 1.0}),
        ({"enum": [1, {"a": 2, "b": 3}]}, {"enum": [{"b": 3, "a": 2}, 1]}),
        (
            {"allOf": [{"minimum": 1}, {"maximum": 2}]},
            {"allOf": [{"maximum": 2}, {"minimum": 1}]},
        ),
    ],
)
def test_another_spelling_of_the_same_schema_is_no_drift(
    before: Any, after: Any
) -> None:
    olds = {"tools/a": {"name": "a", "inputSchema": before}}
    news = {"tools/a": {"name": "a", "inputSchema": after}}
    assert drift(olds, news).changes == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"required": ["enum"]}, {"required": ["type"]}),
        ({"prefixItems": [{"type": "string"}, {"type": "null"}]},) * 2,
        ({"const": 1}, {"const": True}),
        ({"default": [1, 2]}, {"default": [2, 1]}),
        ({"properties": {"required": {"enum": [1]}}}, {"properties": {"required": {}}}),
    ],
)
def test_order_and_types_count_where_they_mean_something(
    before: Any, after: Any
) -> None:
    if before is after:
        after = {"prefixItems": before["prefixItems"][::-1]}
    olds = {"tools/a": {"name": "a", "inputSchema": before}}
    news = {"tools/a": {"name": "a", "inputSchema": after}}
    assert drift(olds, news).changes != []


@pytest.mark.parametrize("path", TOOLS)
def test_what_came_and_what_went_is_told_whole(path: str) -> None:
    less = document()
    tool = less.pop(path)
    (gone,) = drift(APPROVED, less).changes
    assert (gone.kind, gone.element, gone.path) == (Kind.REMOVED, path, "")
    assert (gone.before, gone.after, gone.severity) == (tool, None, Severity.LOW)
    (came,) = drift(less, APPROVED).changes
    assert (came.kind, came.element, came.path) == (Kind.ADDED, path, "")
    assert (came.before, came.after, came.severity) == (None, tool, Severity.MEDIUM)


def test_a_new_server_and_new_instructions_are_grave() -> None:
    for path in ("servers/weather", "instructions"):
        less = document()
        less.pop(path)
        (came,) = drift(less, APPROVED).changes
        assert came.severity is Severity.HIGH
    hidden = document() | {"tools/x": {"name": "x", "description": "a\u200bb"}}
    (came,) = drift(APPROVED, hidden).changes
    assert (came.nature, came.severity) == (Nature.HIDDEN_UNICODE, Severity.CRITICAL)


def test_what_could_not_be_looked_at_is_not_called_gone() -> None:
    after = document()
    for path in TOOLS:
        after.pop(path)
    found = drift(APPROVED, after, unseen=TOOLS[:2])
    assert [change.element for change in found.changes] == TOOLS[2:]
    (sentence,) = found.not_compared
    assert sentence.startswith("2 approved tools could not be compared: their server")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"digest": "b" * 64}, [("/digest", Nature.CONTENT, Severity.MEDIUM)]),
        (
            {"digest": "b" * 64, "format": {"modelaudit": "pickle"}},
            [
                ("/format/modelaudit", Nature.FORMAT, Severity.HIGH),
                ("/digest", Nature.CONTENT, Severity.MEDIUM),
            ],
        ),
        (
            {"digest": "b" * 64, "inside": {"modelaudit": {"tensors": ["wte"]}}},
            [
                ("/digest", Nature.CONTENT, Severity.MEDIUM),
                ("/inside/modelaudit/tensors", Nature.INSIDE, Severity.MEDIUM),
            ],
        ),
    ],
)
def test_a_file_changes_by_bytes_format_and_what_is_inside(
    change: Any, told: Any
) -> None:
    before = files(("a.bin", FILE), ("b", FILE))
    after = files(("a.bin", FILE | change), ("b", FILE))
    found = compare(before, after, is_mcp=False).changes
    assert [(c.path, c.nature, c.severity) for c in found] == told


@pytest.mark.parametrize(
    "text",
    ["naïve 🙂", "👨‍👩‍👧", "❤️ 1️⃣ ✔️", "👍🏽", "tab\tand\nline", "日本語", "Ελλάδα"],
)
def test_a_text_with_pictures_or_other_scripts_hides_nothing(text: str) -> None:
    after = document()
    after["instructions"] = text
    (change,) = drift(APPROVED, after).changes
    assert change.nature is Nature.DESCRIPTION


def test_hidden_characters_that_were_approved_are_no_news() -> None:
    before = document()
    before["instructions"] = "a\u200bb"
    after = document()
    after["instructions"] = "a\u200bc"
    (change,) = drift(before, after).changes
    assert change.nature is Nature.DESCRIPTION
    after["instructions"] = "a\u200bc\u200b"
    (change,) = drift(before, after).changes
    assert change.nature is Nature.HIDDEN_UNICODE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "required", "enum", "items", "properties", "anyOf", "not", "x"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(JSON, JSON)
def test_any_two_schemas_can_be_compared(before: Any, after: Any) -> None:
    """Hostile or nonsensical as they may be: equal ones alone give nothing."""
    for kind, key in (("tools", "inputSchema"), ("prompts", "arguments"), ("x", "env")):
        olds = {f"{kind}/a": {"name": "a", key: before}}
        news = {f"{kind}/a": {"name": "a", key: after}}
        assert drift(olds, copy.deepcopy(olds)).drifts == ()
        forward, back = drift(olds, news), drift(news, olds)
        assert bool(forward.drifts) == bool(back.drifts)
        for change in forward.changes:
            assert value_at(news, change.element, change.path) == change.after or (
                change.after is None
            )


def value_at(document: Document, element: str, pointer: str) -> Any:
    node = document[element]
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list):
            node = node[int(key)] if int(key) < len(node) else None
        else:
            node = (node or {}).get(key)
    return node
