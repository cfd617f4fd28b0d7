"""What a sentence orders: a verb, and what it is done to. Pure.

The acts are data (`signs.json`): an ordered verb of one of `verbs` (or a word of one of
`nouns`, or a forbidden verb of `never`) with a word of each group of `with` at most
`reach` words away.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scanners.mcp_rules.grammar import leaning, negated, opens, ordered
from scanners.mcp_rules.lexicon import BASE, S_FORM
from scanners.mcp_rules.sentences import Hit, Sentence

SIGNS: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parent / "signs.json").read_text("utf-8")
)
# "Read it" looks back; else what a verb is about comes after it.
_LOOK_BACK = frozenset({"it", "them", "this", "that", "its", "their", "both", "these"})


@dataclass(frozen=True, slots=True)
class Act:
    """One act: the classes of its head, of what it is done to, and its rule."""

    name: str
    nouns: tuple[str, ...]
    verbs: tuple[str, ...]
    never: tuple[str, ...]
    heads: frozenset[str]
    groups: tuple[frozenset[str], ...]
    reach: int
    unless: frozenset[str]
    weight: float
    rule: str
    certain: bool  # however honest the rest of the text reads


def _act(name: str, data: Mapping[str, Any]) -> Act:
    nouns, verbs, never = (
        tuple(data.get(kind, ())) for kind in ("nouns", "verbs", "never")
    )
    return Act(
        name=name,
        nouns=nouns,
        verbs=verbs,
        never=never,
        heads=frozenset({*nouns, *verbs, *never}),
        groups=tuple(frozenset(group) for group in data["with"]),
        reach=int(data["reach"]),
        unless=frozenset(data.get("unless", ())),
        weight=float(data["weight"]),
        rule=data["rule"],
        certain=bool(data.get("certain")),
    )


ACTS = {name: _act(name, data) for name, data in SIGNS["acts"].items()}
_IN_SENTENCES = [act for act in ACTS.values() if act.heads]
# By the class of a head the acts that may begin with it, by their place in the list.
_BEGINNING = {
    head: tuple(n for n, act in enumerate(_IN_SENTENCES) if head in act.heads)
    for head in frozenset[str]().union(*(act.heads for act in _IN_SENTENCES))
}
ORDER = "orders something"
ORDINARY = "MCP-DATA-003"  # of what every other tool reads and hands over
_DOING = ("send", "pass", "read", "run", "call", "change", "reach")
_DETERMINERS = frozenset(
    {"the", "a", "an", "all", "every", "each", "any", "this", "that", "its", "your"}
    | {"their", "it", "them", "users", "no", "what", "whatever", "everything", "both"}
    | {"these", "those", "one", "only", "in", "on", "to", "with", "from", "at", "into"}
)
# The head of a compound is its last word: a conversation's address is no conversation.
_POINTERS = frozenset(
    {"url", "urls", "id", "ids", "link", "links", "number", "count", "type", "name"}
    | {"names", "title", "titles"}
)
_POINTED_AT = frozenset({"context", "private"})
_ADVERBS = frozenset(
    {"please", "then", "also", "always", "first", "afterwards", "finally", "instead"}
    | {"next", "quietly", "silently", "secretly", "immediately", "now", "just", "only"}
    | {"simply", "additionally", "moreover", "important", "system"}
)
_NO_VERBS = frozenset(
    {
        "without",
        "this",
        "the",
        "if",
        "when",
        "for",
        "in",
        "on",
        "of",
        "all",
        "it",
        "as",
        "that",
    }
    | {"with", "from", "by", "to", "at", "after", "before", "and", "or", "but", "not"}
    | {"see", "each", "every", "any", "both", "one", "only", "there", "these", "those"}
    | {"because", "since", "while", "once", "unless", "until", "note", "e", "i", "than"}
    | {"required", "optional", "default", "example", "returns", "which", "what", "how"}
    # What every description says of its own tool.
    | {"use", "call", "prefer", "verify", "check", "ask", "provide", "supports"}
)


def acts_of(
    sentence: Sentence, *, leans: bool = False
) -> Iterator[tuple[str, int, int, int]]:
    """Yield what `sentence` orders: act, first and last token, the verb's."""
    hits = sentence.hits
    begun: set[int] = set()
    # Only English verbs show by their form whether they describe.
    is_told = sentence.language != "en" and not sentence.position and not leaning(hits)
    for name in hits:
        if name in _BEGINNING:
            begun.update(_BEGINNING[name])
    for number in sorted(begun):
        act = _IN_SENTENCES[number]
        if not _is_filled(act, hits) or (is_told and act.rule == ORDINARY):
            continue
        reach = act.reach if sentence.language == "en" else 2 * act.reach
        for head in _heads(sentence, act, leans=leans):
            parts = [_nearest(sentence, head, group, reach) for group in act.groups]
            found = [part for part in parts if part]
            if len(found) == len(parts):
                first = min([head.first, *(part.first for part in found)])
                last = max([head.last, *(part.last for part in found)])
                yield act.name, first, last, head.first
                break


def _is_filled(act: Act, hits: Mapping[str, object]) -> bool:
    """Whether a sentence has a word of each group that `act` takes."""
    for group in act.groups:  # a loop costs half of what `any` does
        if group.isdisjoint(hits):
            return False
    return act.unless.isdisjoint(hits)


def order_of(sentence: Sentence) -> tuple[str, int, int, int] | None:
    """Return that a sentence which is no description begins with a verb, if so.

    Which verb does not matter: what a word list does not know is an order, too.
    """
    if sentence.language != "en" or not sentence.position:
        return None
    said: list[int] = []
    for position, token in enumerate(sentence.tokens):
        if token[1] != "mark":
            said.append(position)
            if len(said) == 3:
                break
    else:
        return None
    first, second, third = said
    word = sentence.word(first)
    if word in _ADVERBS:
        first, second = second, third
        word = sentence.word(first)
    is_verb = word.isalpha() and word not in _NO_VERBS and word[-3:] != "ing"
    # "query: the words to look for" tells what a query is.
    is_alone = second > first + 1
    if is_alone or not is_verb or word[-1] == "s":
        return None
    if sentence.word(second) in _DETERMINERS:
        return ORDER, first, second + 1, first
    return None


def orders_any(sentence: Sentence) -> bool:
    """Whether `sentence` orders to send, write, run or fetch whatever it may be."""
    if order_of(sentence) is not None:
        return True
    verbs = sentence.of(*_DOING)
    return any(ordered(sentence, v) or opens(sentence, v) for v in verbs)


def _heads(sentence: Sentence, act: Act, *, leans: bool) -> Iterator[Hit]:
    """Yield the words that an act may begin with."""
    yield from sentence.of(*act.nouns)
    for verb in sentence.of(*act.verbs):
        is_plain = act.certain and opens(sentence, verb)
        if is_plain or ordered(sentence, verb, leans=leans):
            yield verb
    for verb in sentence.of(*act.never):
        if sentence.language != "en":
            is_forbidden = "not" in sentence.hits
        else:
            is_forbidden = verb.form != S_FORM and negated(sentence, verb)
        if is_forbidden:
            yield verb


def _nearest(
    sentence: Sentence, head: Hit, names: frozenset[str], reach: int
) -> Hit | None:
    hits = [
        hit
        for name in names
        for hit in sentence.hits.get(name, ())
        if (hit.last <= head.first or hit.first >= head.last)
        and abs(hit.first - head.first) <= reach
        and not (name in _POINTED_AT and sentence.word(hit.last) in _POINTERS)
    ]
    after = [hit for hit in hits if hit.first >= head.last]
    if head.form == BASE and sentence.language == "en":
        hits = hits if sentence.word(head.last) in _LOOK_BACK else []
    # Of two that begin together the longer one: the classes have no order.
    return min(
        after or hits,
        key=lambda hit: (abs(hit.first - head.first), hit.first, -hit.last),
        default=None,
    )
