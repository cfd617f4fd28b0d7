"""How much a tool's text is like one that attacks: the statistics of the engine. Pure.

Two sums of weights. Of the most suspicious sentence: of each slot (`slots.py`), of
those of the sentences beside it, of some pairs and of words. Of all that an element
says: of its phrases, one or two words long. `likeness.json` holds the weights, which
`python -m benchmarks.mcp_likeness` learns from the development half of the corpus.
Alone likeness is a hint. Where what is ordered and over what are both there, each with
its place, it is a finding.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from scanners.mcp_rules.forms import DEEDS
from scanners.mcp_rules.matches import Match, Span, in_text, shown
from scanners.mcp_rules.reading import Reading
from scanners.mcp_rules.sentences import Names, Sentence
from scanners.mcp_rules.slots import Slots, filled
from scanners.mcp_rules.spoken import NAMES, Spoken
from scanners.mcp_rules.texts import Role, Text

WEIGHTS = Path(__file__).resolve().parent / "likeness.json"
HINT, FOUND = "MCP-STATISTICS-001", "MCP-STATISTICS-002"
# How much a feature of each kind counts: "is" for what a sentence has itself, the name
# of a role for a slot at that place, and so on; a kind that is not here counts half.
SHARES = {"is": 1.0}
HALF = 0.5
_NEW = {quarters: f"NEW {quarters}" for quarters in range(-1, 4)}
UNIT = 2000  # a weight has three digits behind the point, and may count half
START = "start"  # the weight that every text has
DOUBT = 4.0  # weight of signs that one point of honesty outweighs
PHRASES = 8.0  # what a text of 64 phrases has as its weight
CUT = 6  # letters of a word that count: its forms are nearly one then
# Where words are written without blanks each sign is one.
_SIGNS = "\u3040-\u30ff\u3400-\u9fff"
_WORDS = re.compile(f"[{_SIGNS}]|[^\\W_{_SIGNS}]+")
_STARTS = re.compile(f"([a-z0-9]{{1,{CUT}}})[a-z0-9]*+")

type Read = Sequence[tuple[Text, Sequence[Spoken]]]
type Features = list[tuple[str, Iterable[str]]]  # kind, names; "" is none

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
_GROUPS_OF: dict[str, tuple[str, ...]] = {
    name: tuple(group for group, names in _GROUPS.items() if name in names)
    for name in {name for names in _GROUPS.values() for name in names}
}
_GROUPED = frozenset(_GROUPS_OF)


class Part(NamedTuple):
    """One reason for a likeness: what it is, and where in the text."""

    name: str
    start: int
    end: int


class Examined(NamedTuple):
    """A sentence with its slots and features."""

    text: Text
    reading: Reading
    sentence: Sentence
    slots: Slots
    features: Features


class Likeness(NamedTuple):
    """How like attacks an element is, and which sentence is most like one."""

    score: float
    most: Examined


@cache
def weights() -> dict[str, Any]:
    """Return what was learned: the weights by kind and name, and the bounds."""
    return dict(json.loads(WEIGHTS.read_text("utf-8")))


@cache
def _sentence() -> dict[str, dict[str, int]]:
    """Return the weights of a sentence by kind and name, times their shares.

    In whole numbers: their sum is the same in any order.
    """
    known = weights()["sentence"]
    return {
        kind: {
            name: round(weight * SHARES.get(kind, HALF) * UNIT)
            for name, weight in of_kind.items()
        }
        for kind, of_kind in known.items()
        if kind != START
    }


@cache
def _phrases() -> dict[str, int]:
    """Return the weights of phrases in whole numbers."""
    known = weights()["phrases"]["phrase"]
    return {phrase: round(weight * UNIT) for phrase, weight in known.items()}


def examined(read: Read, about: Names) -> Iterator[Examined]:
    """Yield the sentences of all texts of one element, with their features."""
    for text, spoken in read:
        if text.role not in NAMES:
            for way in spoken:
                yield from _examined(text, way, about)


def _examined(text: Text, way: Spoken, about: Names) -> Iterator[Examined]:
    reading, english = way.reading, way.languages[0]
    sentences = [sentence for sentence in english if sentence.tokens]
    parts = [filled(reading.text, sentence, about) for sentence in sentences]
    role = f"ROLE {_role(text)}"
    first = f"FIRST {role}"
    for position, sentence in enumerate(sentences):
        here, words, new = parts[position]
        beside = {*(parts[position - 1].slots if position else ())}
        if position + 1 < len(parts):
            beside.update(parts[position + 1].slots)
        of_itself = [*here, *_orders(here), role, _NEW[new]]
        if not sentence.position:
            of_itself.append(first)
        features: Features = [
            ("is", of_itself),
            ("word", words),
            ("beside", beside),
            (role, _GROUPED.intersection(here)),
        ]
        if not _CROSSING.isdisjoint(here):
            groups = {group for name in here for group in _GROUPS_OF.get(name, ())}
            near = {group for name in beside for group in _GROUPS_OF.get(name, ())}
            features.append(("pair", _pairs(groups, groups, "with")))
            features.append(("pair", _pairs(groups, near, "beside")))
        yield Examined(text, reading, sentence, here, features)


def kind_of(element: str) -> str:
    """Return what an element is: tools, prompts, resources, instructions."""
    return element.split("/", 2)[1]


def _role(text: Text) -> str:
    kind = kind_of(text.element)
    if text.role is Role.PARAMETER_TEXT:
        return f"parameter of {kind}"
    return f"part of {kind}" if text.role in (Role.OTHER, Role.VALUE) else kind


def _pairs(groups: set[str], others: set[str], place: str) -> list[str]:
    return [
        f"{crossed} {place} {name}"
        for crossed in groups.intersection(_CROSSED)
        for name in others
        if name != crossed
    ]


def _orders(here: Slots) -> Sequence[str]:
    """Return what is done to what: a deed, and a thing at most a few words behind."""
    deeds = DEEDS.intersection(here)
    if not deeds:
        return ()
    return [
        f"{deed} > {thing}"
        for deed in deeds
        for thing in _OBJECTS.intersection(here)
        if 0 <= here[thing][0] - here[deed][1] <= REACH
    ]


def phrases_of(texts: Iterable[Text], read: Read) -> set[str]:
    """Return the phrases of an element's `texts`, and of what they were decoded to."""
    said = [text.value for text in texts]
    said += [way.reading.text for _, ways in read for way in ways if way.reading.how]
    found: set[str] = set()
    for text in said:
        words = _starts(text.lower())
        found.update(words)
        found.update(map(" ".join, pairwise(words)))
    return found


def _starts(text: str) -> list[str]:
    if text.isascii():
        return _STARTS.findall(text)
    return [word[:CUT] for word in _WORDS.findall(text)]


def share_of(phrases: Collection[str]) -> float:
    """Return how much each of `phrases` counts: all together as much in any text."""
    return PHRASES / math.sqrt(len(phrases) or 1)


def _of_sentence(features: Features) -> int:
    """Return the sum of the weights of a sentence's `features`, in units."""
    known, total = _sentence(), 0
    for kind, names in features:
        if of_kind := known.get(kind):
            total += sum(filter(None, map(of_kind.get, names)))
    return total


def _of_phrases(phrases: Collection[str]) -> float:
    """Return the sum of the weights of `phrases`."""
    total = sum(filter(None, map(_phrases().get, phrases)))
    return float(weights()["phrases"][START]) + share_of(phrases) * total / UNIT


def likeness_of(texts: Iterable[Text], read: Read, about: Names) -> Likeness | None:
    """Return how like attacks the `texts` of an element are; None if they say nothing.

    `read` are those of them that say something, in sentences.
    """
    told = ((_of_sentence(each.features), each) for each in examined(read, about))
    most, best = max(told, key=itemgetter(0), default=(0, None))
    if best is None:
        return None
    of_sentence = float(weights()["sentence"][START]) + most / UNIT
    whole = of_sentence + _of_phrases(phrases_of(texts, read))
    return Likeness(whole, best)


def find(likeness: Likeness) -> Iterator[Match]:
    """Yield the hint or the finding that `likeness` is."""
    # Honest documents quote attacks, honest tools do not: each kind has its own bounds.
    most = likeness.most
    bounds = weights()["bounds"][kind_of(most.text.element)]
    if likeness.score < bounds["hint"]:
        return
    things, orders = (
        list(_parts(most.sentence, most.slots, groups)) for groups in (THINGS, ORDERS)
    )
    # What orders, claims and hides nothing is no reason to look: a lone token, say.
    if not orders:
        return
    tokens = most.sentence.tokens
    whole = Part("reads like attacks do", tokens[0].start, tokens[-1].end)
    yield _match(HINT, most, [whole])
    if likeness.score >= bounds["enough"] and things:
        yield _match(FOUND, most, [*things[:3], *orders[:3]])


def _match(rule: str, most: Examined, parts: Sequence[Part]) -> Match:
    reading = most.reading
    spans = [
        Span(*reading.span(start, end), name, shown(reading.text[start:end]))
        for name, start, end in parts
    ]
    return in_text(rule, most.text, spans, seen=reading.how, key="likeness")


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
