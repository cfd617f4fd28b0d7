"""How much a tool's text is like one that attacks: the statistics of the engine. Pure.

A weight for each slot (`slots.py`), for those of the sentences beside it, for some
pairs and for words, added up, once for the most suspicious sentence and once for all
that is said: `likeness.json`, which `python -m benchmarks.mcp_likeness` learns from the
development half of the corpus. Alone it is a hint. Where what is ordered and over what
are both there, each with its place, it is a finding.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from scanners.mcp_rules.matches import Match, Span, in_text, shown
from scanners.mcp_rules.reading import Reading
from scanners.mcp_rules.sentences import Names, Sentence
from scanners.mcp_rules.slots import DEEDS, Slots, novelty, slots_of, words_of
from scanners.mcp_rules.spoken import Spoken
from scanners.mcp_rules.texts import Role, Text

WEIGHTS = Path(__file__).resolve().parent / "likeness.json"
HINT, FOUND = "MCP-STATISTICS-001", "MCP-STATISTICS-002"
BESIDE, PAIR, WORD = 0.5, 0.5, 0.5  # how much of a weight such a feature counts
MAX_SENTENCES = 60
START = ""  # the feature that every text has
DOUBT = 4.0  # weight of signs that one point of honesty outweighs
WHOLE = 8.0  # what a text of 64 features has as its weight

type Read = Sequence[tuple[Text, Sequence[Spoken]]]

# What a text can be over: data, tools and addresses that are not its own.
THINGS = {
    "data beside the purpose": ("OFF credential", "OFF conversation", "OFF personal"),
    "a private file": ("SECRET_PATH", "SECRET NAME"),
    "another tool": ("STRANGE NAME", "STRANGE SERVER", "elsewhere", "strange"),
    "an address": ("URL", "MAIL", "PHONE", "HOST", "ACCOUNT_NUMBER", "CARRIER", "ours"),
    "a part of the system": ("danger", "guard"),
    "money": ("money", "trade"),
    "instructions": ("instruction", "newtask", "role"),
    "what people are told": ("result", "user", "they"),
    "a place for it": ("OWN NAME", "OWN WORD", "part"),
}
# How it is urged on the reader.
ORDERS = {
    "an order": ("ORDERS", "MODAL", "must", "PASSIVE", "FORBIDS"),
    "a deed": (
        *("send", "share", "take", "put", "give", "change", "suppress", "stop"),
        *("delete", "run", "pay"),
    ),
    "said of the assistant": ("THIRD", "model"),
    "concealment": ("secretly", "FORBIDS tell", "notice"),
    "a condition": ("when", "later", "always"),
    "a reason": ("reason", "pretext", "authority", "threat", "because"),
    "a claim": ("claim", "answer", "praise", "better", "worse", "faulty", "fine"),
}
REACH = 8  # words between a deed and what it is done to
_OBJECTS = frozenset(
    {"credential", "conversation", "personal", "data", "danger", "instruction", "tool"}
    | {"elsewhere", "strange", "user", "they", "model", "approval", "guard", "money"}
    | {"address", "ours", "result", "part", "everything", "encode", "notice", "worse"}
    | {"better", "fine", "care", "trade", "token", "STRANGE NAME", "STRANGE SERVER"}
    | {"SECRET_PATH", "URL", "MAIL", "OWN NAME", "OWN WORD"}
)
_CROSSED = ("data beside the purpose", "a private file", "another tool")
_GROUPS = tuple(
    (group, frozenset(names)) for group, names in (*THINGS.items(), *ORDERS.items())
)


class Part(NamedTuple):
    """One reason for a likeness: what it is, and where in the text."""

    name: str
    start: int
    end: int


class Likeness(NamedTuple):
    """How like attacks an element is, which sentence is most like one, and why."""

    score: float
    text: Text
    reading: Reading
    sentence: Sentence
    things: tuple[Part, ...]
    orders: tuple[Part, ...]


class Examined(NamedTuple):
    """A sentence with its slots and features."""

    text: Text
    reading: Reading
    sentence: Sentence
    slots: Slots
    features: dict[str, float]


@cache
def weights() -> dict[str, Any]:
    """Return what was learned: the weights by feature, and from where they count."""
    return dict(json.loads(WEIGHTS.read_text("utf-8")))


def examined(read: Read, about: Names) -> list[Examined]:
    """Return the sentences of all texts of one element, with their features."""
    return [
        sentence
        for text, spoken in read
        if text.role not in (Role.NAME, Role.PARAMETER)
        for way in spoken
        for sentence in _examined(text, way, about)
    ]


def _examined(text: Text, way: Spoken, about: Names) -> Iterator[Examined]:
    reading, english = way.reading, way.languages[0]
    sentences = [sentence for sentence in english if sentence.tokens][:MAX_SENTENCES]
    slots = [slots_of(reading.text, sentence, about) for sentence in sentences]
    role = f"ROLE {_role(text)}"
    for position, sentence in enumerate(sentences):
        here = slots[position]
        beside = {*(slots[position - 1] if position else ())}
        beside.update(*slots[position + 1 : position + 2])
        found = dict.fromkeys(here, 1.0)
        found[role] = 1.0
        found[f"NEW {novelty(sentence, about)}"] = 1.0
        if not sentence.position:
            found[f"FIRST {role}"] = 1.0
        found.update((f"beside {name}", BESIDE) for name in beside)
        found.update((pair, PAIR) for pair in _pairs(here, beside))
        found.update((order, 1.0) for order in _orders(here))
        found.update((f"word {word}", WORD) for word in words_of(sentence))
        yield Examined(text, reading, sentence, here, found)


def _role(text: Text) -> str:
    kind = text.element.split("/", 2)[1]
    if text.role is Role.PARAMETER_TEXT:
        return f"parameter of {kind}"
    return f"part of {kind}" if text.role in (Role.OTHER, Role.VALUE) else kind


def _pairs(here: Slots, beside: set[str]) -> Iterator[str]:
    groups = [name for name, names in _GROUPS if not names.isdisjoint(here)]
    for crossed in _CROSSED:
        if crossed not in groups:
            continue
        near = [name for name, names in _GROUPS if not names.isdisjoint(beside)]
        yield from (f"{crossed} with {name}" for name in groups if name != crossed)
        yield from (f"{crossed} beside {name}" for name in near if name != crossed)


def _orders(here: Slots) -> Iterator[str]:
    """Yield what is done to what: a deed, and a thing at most a few words behind."""
    for deed in DEEDS.intersection(here):
        last = here[deed][1]
        for thing in _OBJECTS.intersection(here):
            if 0 <= here[thing][0] - last <= REACH:
                yield f"{deed} > {thing}"


def whole_of(sentences: Sequence[Examined]) -> dict[str, float]:
    """Return the features of all that an element says, as if it were one sentence."""
    found: dict[str, float] = {}
    for sentence in sentences:
        for name, value in sentence.features.items():
            if "beside " not in name and value > found.get(name, 0.0):
                found[name] = value
    share = WHOLE / math.sqrt(len(found) or 1)
    return {name: value * share for name, value in found.items()}


def score(features: Mapping[str, float], part: str) -> float:
    """Return the sum of the weights of `features` in one part of what was learned."""
    known: dict[str, float] = weights()[part]
    total = known[START]
    for name, value in features.items():
        if weight := known.get(name):
            total += weight * value
    return total


def likeness_of(read: Read, about: Names) -> Likeness | None:
    """Return how like attacks the texts of an element are; None if they say nothing."""
    sentences = examined(read, about)
    if not sentences:
        return None
    scores = [score(sentence.features, "sentence") for sentence in sentences]
    best = max(range(len(sentences)), key=scores.__getitem__)
    text, reading, sentence, slots, _ = sentences[best]
    things, orders = (
        tuple(_parts(sentence, slots, groups)) for groups in (THINGS, ORDERS)
    )
    whole = score(whole_of(sentences), "whole")
    return Likeness(scores[best] + whole, text, reading, sentence, things, orders)


def find(likeness: Likeness) -> Iterator[Match]:
    """Yield the hint or the finding that `likeness` is."""
    if likeness.score < weights()["hint"]:
        return
    tokens = likeness.sentence.tokens
    whole = Part("reads like attacks do", tokens[0].start, tokens[-1].end)
    yield _match(HINT, likeness, [whole])
    is_found = likeness.score >= weights()["enough"]
    if is_found and likeness.things and likeness.orders:
        yield _match(FOUND, likeness, [*likeness.things[:3], *likeness.orders[:3]])


def _match(rule: str, likeness: Likeness, parts: Sequence[Part]) -> Match:
    reading = likeness.reading
    spans = [
        Span(*reading.span(start, end), name, shown(reading.text[start:end]))
        for name, start, end in parts
    ]
    return in_text(rule, likeness.text, spans, seen=reading.how, key="likeness")


def doubt_of(likeness: Likeness | None) -> float:
    """Return how many more signs rules need, the more an element reads like honest."""
    if likeness is None:
        return 0.0
    return max(0.0, DOUBT * (float(weights()["honest"]) - likeness.score))


def _parts(
    sentence: Sentence, slots: Slots, groups: dict[str, tuple[str, ...]]
) -> Iterator[Part]:
    tokens = sentence.tokens
    for group, names in groups.items():
        for name in names:
            if name in slots:
                first, last = slots[name]
                yield Part(group, tokens[first].start, tokens[last - 1].end)
                break
