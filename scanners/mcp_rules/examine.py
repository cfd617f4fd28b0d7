"""All rules over one document. Standard library and what the families need."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from scanners.mcp_rules import (
    abilities,
    between,
    hidden,
    launching,
    likeness,
    orders,
    reach,
)
from scanners.mcp_rules.matches import Match, Unread, unread
from scanners.mcp_rules.reading import (
    APART,
    Reading,
    is_plain,
    plain_reading,
    readings,
)
from scanners.mcp_rules.sentences import Names, stems
from scanners.mcp_rules.slots import concepts_in
from scanners.mcp_rules.spoken import spoken, tells_anything
from scanners.mcp_rules.texts import Role, Text, texts_of

# Of one rule in one element the first places are finding enough.
MAX_OF_ONE_ELEMENT = 10
_WORD = re.compile("[A-Za-z]?[a-z0-9]+|[A-Z]+")


class Examined(NamedTuple):
    """What the rules found, and what they did not read."""

    matches: list[Match]
    unread: list[Unread]


def examine(document: Mapping[str, Any]) -> Examined:
    """Return the matches of all rules for texts in `document`, in its order.

    `document` has the shape of `Target.document`.
    """
    counts: dict[tuple[str, str], int] = {}
    kept: list[Match] = []
    gaps: dict[str, Unread] = {}
    for match in _matches(document):
        if isinstance(match, Unread):
            gaps.setdefault(match.element, match)
            continue
        at = (match.rule, match.element)
        counts[at] = counts.get(at, 0) + 1
        if counts[at] <= MAX_OF_ONE_ELEMENT:
            kept.append(match)
    return Examined(kept, list(gaps.values()))


def _matches(document: Mapping[str, Any]) -> Iterator[Match | Unread]:
    yield from launching.find(document)
    yield from between.find(document)
    for position, tool in enumerate(document.get("tools") or []):
        yield from abilities.find(tool, f"/tools/{position}")
    for element, texts in groupby(texts_of(document), key=lambda text: text.element):
        together = list(texts)
        own = names_of(element, together)
        yield from reach.find(together)
        read = []
        is_plain, looked_at = _looked_at(together)
        for text, ways in looked_at:
            if not is_plain:
                yield from hidden.find(text, ways)
            if ways[0].left_out:
                yield unread(text, ways[0].left_out)
            if said := spoken(text, ways, own):
                read.append((text, said))
        like = likeness.likeness_of(together, read, own)
        if like:
            yield from likeness.find(like)
        yield from orders.find(read, doubt=likeness.doubt_of(like))


def _looked_at(texts: list[Text]) -> tuple[bool, list[tuple[Text, list[Reading]]]]:
    """Return whether `texts` hide nothing, and those that say anything, as read."""
    together = APART.join([text.value for text in texts])
    if hidden.is_suspect(together) or not is_plain(together):
        return False, [(text, readings(text.value)) for text in texts]
    return True, [
        (text, [plain_reading(text.value)])
        for text in texts
        if tells_anything(text, text.value)
    ]


def names_of(element: str, texts: list[Text]) -> Names:
    """Return what belongs to the element whose texts these are."""
    its_name = f"{element}/name"
    own: set[str] = set()
    called: list[str] = []
    named: list[str] = []
    said: list[str] = []
    for value, role, pointer, _, _ in texts:
        if role is Role.PARAMETER or pointer == its_name:
            own.add(value.lower())
        if role is Role.NAME:
            called.append(value)
            if pointer == its_name:
                named.append(value.lower())
        elif role is Role.DESCRIPTION or role is Role.TITLE:
            said.append(value.partition(". ")[0])
    if not element.startswith("/tools/"):
        return Names(frozenset(own))
    family = _WORD.match(" ".join(called))
    return Names(
        frozenset(own),
        frozenset(stems(" ".join([*named, *said]))),
        concepts_in(" ".join([*called, *said])),
        family[0].lower() if family else "",
    )
