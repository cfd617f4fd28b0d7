"""All rules over one document. Standard library and what the families need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from scanners.mcp_rules import abilities, between, hidden, launching, orders, reach
from scanners.mcp_rules.matches import Match
from scanners.mcp_rules.reading import readings
from scanners.mcp_rules.sentences import Names, stems
from scanners.mcp_rules.texts import Role, Text, texts_of

# Of one rule in one element the first places are finding enough.
MAX_OF_ONE_ELEMENT = 10


def examine(document: Mapping[str, Any]) -> list[Match]:
    """Return the matches of all rules for texts in `document`, in its order.

    `document` has the shape of `Target.document`.
    """
    counts: dict[tuple[str, str], int] = {}
    kept = []
    for match in _matches(document):
        at = (match.rule, match.element)
        counts[at] = counts.get(at, 0) + 1
        if counts[at] <= MAX_OF_ONE_ELEMENT:
            kept.append(match)
    return kept


def _matches(document: Mapping[str, Any]) -> Iterator[Match]:
    yield from launching.find(document)
    yield from between.find(document)
    for position, tool in enumerate(document.get("tools") or []):
        yield from abilities.find(tool, f"/tools/{position}")
    for element, texts in groupby(texts_of(document), key=lambda text: text.element):
        together = list(texts)
        own = _names(element, together)
        yield from reach.find(together)
        for text in together:
            read = readings(text.value)
            yield from hidden.find(text, read)
            yield from orders.find(text, read, own)


def _names(element: str, texts: list[Text]) -> Names:
    """Return what belongs to the element whose texts these are."""
    name = {text.value.lower() for text in texts if text.pointer == f"{element}/name"}
    parameters = {text.value.lower() for text in texts if text.role is Role.PARAMETER}
    said = " ".join(
        text.value.partition(". ")[0]
        for text in texts
        if text.role in (Role.DESCRIPTION, Role.TITLE)
    )
    purpose = stems(" ".join([*name, said])) if element.startswith("/tools/") else ()
    return Names(frozenset(name | parameters), frozenset(purpose))
