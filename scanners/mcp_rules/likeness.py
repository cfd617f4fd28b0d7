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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

from scanners.mcp_rules.matches import Match, Span, in_text, shown
from scanners.mcp_rules.reading import Reading
from scanners.mcp_rules.sentences import Names, Sentence
from scanners.mcp_rules.slots import (
    DEEDS,
    MAX_KNOWN,
    Slots,
    novelty,
    slots_of,
    words_of,
)
from scanners.mcp_rules.spoken import Spoken
from scanners.mcp_rules.texts import Role, Text

WEIGHTS = Path(__file__).resolve().parent / "likeness.json"
HINT, FOUND = "MCP-STATISTICS-001", "MCP-STATISTICS-002"
BESIDE, PAIR, WORD = 0.5, 0.5, 0.5  # how much of a weight such a feature counts
_NEW = {quarters: f"NEW {quarters}" for quarters in range(-1, 4)}
START = ""  # the feature that every text has
DOUBT = 4.0  # weight of signs that one point of honesty outweighs
WHOLE = 8.0  # what a text of 64 features has as its weight

type Read = Sequence[tuple[Text, Sequence[Spoken]]]

# What a text can be over: data, tools and addresses that are not its own.
THINGS = {
    "data beside the purpose": (
        *("OFF credential", "OFF conversation", "OFF personal", "reach"),
    ),
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
    "against what is asked": ("despite", "belittled", "deceit"),
    "in somebody's name": ("their name",),
    "gain": ("profit",),
    "when nobody looks": ("watched",),
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
_CROSSING = frozenset(name for group in _CROSSED for name in THINGS[group])
_GROUPS = {**THINGS, **ORDERS}
_GROUPS_OF = {
    name: tuple(group for group, names in _GROUPS.items() if name in names)
    for name in {name for names in _GROUPS.values() for name in names}
}


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
    """A sentence with its slots and features.

    `own` are those that count for all that is said: none names what is beside anything.
    """

    text: Text
    reading: Reading
    sentence: Sentence
    slots: Slots
    own: dict[str, float]
    features: dict[str, float]


@cache
def weights() -> dict[str, Any]:
    """Return what was learned: the weights by feature, and from where they count."""
    return dict(json.loads(WEIGHTS.read_text("utf-8")))


def examined(read: Read, about: Names) -> Iterator[Examined]:
    """Yield the sentences of all texts of one element, with their features."""
    for text, spoken in read:
        if text.role not in (Role.NAME, Role.PARAMETER):
            for way in spoken:
                yield from _examined(text, way, about)


def _examined(text: Text, way: Spoken, about: Names) -> Iterator[Examined]:
    reading, english = way.reading, way.languages[0]
    sentences = [sentence for sentence in english if sentence.tokens]
    slots = [slots_of(reading.text, sentence, about) for sentence in sentences]
    role = f"ROLE {_role(text)}"
    first = f"FIRST {role}"
    for position, sentence in enumerate(sentences):
        here = slots[position]
        beside = {*(slots[position - 1] if position else ())}
        beside.update(*slots[position + 1 : position + 2])
        own = dict.fromkeys(here, 1.0)
        own.update(dict.fromkeys(_orders(here), 1.0))
        own[role] = own[_NEW[novelty(sentence, about)]] = 1.0
        if not sentence.position:
            own[first] = 1.0
        own.update(dict.fromkeys(map(_word, words_of(sentence)), WORD))
        placed = [_placed(role, name) for name in here if name in _GROUPS_OF]
        own.update(dict.fromkeys(placed, PAIR))
        features = own | dict.fromkeys(map(_beside, beside), BESIDE)
        if not _CROSSING.isdisjoint(here):
            groups = {group for name in here for group in _GROUPS_OF.get(name, ())}
            near = {group for name in beside for group in _GROUPS_OF.get(name, ())}
            pairs = dict.fromkeys(_pairs(groups, groups, "with"), PAIR)
            own |= pairs
            features |= pairs | dict.fromkeys(_pairs(groups, near, "beside"), PAIR)
        yield Examined(text, reading, sentence, here, own, features)


# A name is put together once: as a key it then knows its hash, too.
@lru_cache(MAX_KNOWN)
def _word(word: str) -> str:
    return f"word {word}"


@cache
def _beside(name: str) -> str:
    return f"beside {name}"


@cache
def _placed(role: str, name: str) -> str:
    return f"{role}: {name}"


def kind_of(element: str) -> str:
    """Return what an element is: tools, prompts, resources, instructions."""
    return element.split("/", 2)[1]


def _role(text: Text) -> str:
    kind = kind_of(text.element)
    if text.role is Role.PARAMETER_TEXT:
        return f"parameter of {kind}"
    return f"part of {kind}" if text.role in (Role.OTHER, Role.VALUE) else kind


def _pairs(groups: set[str], others: set[str], place: str) -> Iterator[str]:
    for crossed in groups.intersection(_CROSSED):
        yield from (f"{crossed} {place} {name}" for name in others if name != crossed)


def _orders(here: Slots) -> Iterator[str]:
    """Yield what is done to what: a deed, and a thing at most a few words behind."""
    deeds = DEEDS.intersection(here)
    things = _OBJECTS.intersection(here) if deeds else ()
    for deed in deeds:
        last = here[deed][1]
        for thing in things:
            if 0 <= here[thing][0] - last <= REACH:
                yield f"{deed} > {thing}"


def whole_of(owned: Iterable[dict[str, float]]) -> dict[str, float]:
    """Return the features of all that an element says, as if it were one sentence.

    `owned` are those that its sentences have of their own.
    """
    found: dict[str, float] = {}
    for own in owned:
        found |= own
    share = WHOLE / math.sqrt(len(found) or 1)
    return {name: value * share for name, value in found.items()}


def score(features: Mapping[str, float], part: str) -> float:
    """Return the sum of the weights of `features` in one part of what was learned."""
    known: dict[str, float] = weights()[part]
    of_each = map(known.get, features, repeat(0.0))
    # Exact enough that the order of a set decides nothing between two sentences.
    return known[START] + math.sumprod(of_each, features.values())


def likeness_of(read: Read, about: Names) -> Likeness | None:
    """Return how like attacks the texts of an element are; None if they say nothing."""
    most, best = -math.inf, None
    said: dict[str, float] = {}
    for each in examined(read, about):
        said |= each.own
        is_like = score(each.features, "sentence")
        if is_like > most:
            most, best = is_like, each
    if best is None:
        return None
    text, reading, sentence, slots, *_ = best
    things, orders = (
        tuple(_parts(sentence, slots, groups)) for groups in (THINGS, ORDERS)
    )
    whole = score(whole_of([said]), "whole")
    return Likeness(most + whole, text, reading, sentence, things, orders)


def find(likeness: Likeness) -> Iterator[Match]:
    """Yield the hint or the finding that `likeness` is."""
    # Honest documents quote attacks, honest tools do not: each kind has its own bounds.
    bounds = weights()["bounds"][kind_of(likeness.text.element)]
    # What orders, claims and hides nothing is no reason to look: a lone token, say.
    if likeness.score < bounds["hint"] or not likeness.orders:
        return
    tokens = likeness.sentence.tokens
    whole = Part("reads like attacks do", tokens[0].start, tokens[-1].end)
    yield _match(HINT, likeness, [whole])
    if likeness.score >= bounds["enough"] and likeness.things:
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
