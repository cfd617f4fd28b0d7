"""Two snapshots side by side: the drift of each element."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from scanners.contract import Severity
from scans.drift import elements as kinds
from scans.drift.changes import (
    SEVERITIES,
    Change,
    Comparison,
    ElementDrift,
    Kind,
    Nature,
)
from scans.drift.definitions import differences
from scans.drift.differences import ABSENT, Difference, canonical
from scans.drift.elements import Element, kind_of, naming_key
from scans.drift.invisible import hidden_in
from scans.drift.pairing import Budget, Pairs, pair

MAX_LISTED = 100  # changes of one element
# A new server is a program that nobody approved, and instructions steer every model.
GRAVE_ADDITIONS = frozenset({kinds.SERVERS, kinds.INSTRUCTIONS, kinds.SETTINGS})
_ORDER = (kinds.SERVERS, kinds.INSTRUCTIONS)  # the others come behind, by name


def compare(
    before: Iterable[Element],
    after: Iterable[Element],
    *,
    is_mcp: bool,
    unseen: Collection[str] = (),
    unlisted: Collection[str] = (),
) -> Comparison:
    """Return how `after` differs from `before`, the gravest elements first.

    Of what could not be looked at this time nobody can say that it is gone: `unseen`
    are such paths, `unlisted` names of servers that did not tell what they have. Linear
    in the size of both; see `pairing` for renames.
    """
    olds = _by_kind(before, is_mcp=is_mcp)
    news = _by_kind(after, is_mcp=is_mcp)
    budget = Budget()
    drifts: list[ElementDrift] = []
    told: list[str] = []
    servers: dict[str, str] = {}
    for kind in sorted(olds.keys() | news.keys(), key=_rank):
        pairs = pair(kind, olds.get(kind, ()), news.get(kind, ()), budget)
        if kind == kinds.SERVERS:
            servers = {_name(old): _name(new) for old, new in pairs.renamed}
        gone = [
            element
            for element in pairs.removed
            if element.path not in unseen
            and servers.get(element.server, element.server) not in unlisted
        ]
        told += _untold(kind, pairs, gone)
        drifts += _changed(kind, pairs.same, servers)
        drifts += _renamed(kind, pairs.renamed, servers)
        drifts += [_whole(kind, Kind.ADDED, element) for element in pairs.added]
        drifts += [_whole(kind, Kind.REMOVED, element) for element in gone]
    drifts.sort(key=lambda drift: (-drift.severity, drift.element))
    return Comparison(tuple(drifts), tuple(told))


def _by_kind(
    elements: Iterable[Element], *, is_mcp: bool
) -> Mapping[str, Sequence[Element]]:
    found: dict[str, list[Element]] = defaultdict(list)
    for element in elements:
        found[kind_of(element.path, is_mcp=is_mcp)].append(element)
    return found


def _rank(kind: str) -> tuple[int, str]:
    return (_ORDER.index(kind) if kind in _ORDER else len(_ORDER)), kind


def _name(server: Element) -> str:
    return server.path.partition("/")[2]


def _untold(kind: str, pairs: Pairs, gone: Sequence[Element]) -> Iterator[str]:
    if missed := len(pairs.removed) - len(gone):
        is_file = kind == kinds.FILES
        why = "they could not be opened" if is_file else "their server was not listed"
        yield f"{missed} approved {kind} could not be compared: {why} this time"
    if not pairs.is_searched:
        yield (
            f"Renamed {kind} were not looked for: {len(pairs.removed)} are gone and "
            f"{len(pairs.added)} are new, which is too many to compare each with each"
        )


def _changed(
    kind: str, pairs: Iterable[tuple[Element, Element]], servers: Mapping[str, str]
) -> Iterator[ElementDrift]:
    for old, new in pairs:
        if _is_as_it_was(old, new):
            continue
        if changes := [*_changes(kind, old, new, servers)]:
            yield _drift(new.path, changes)


def _is_as_it_was(old: Element, new: Element) -> bool:
    return old.server == new.server and canonical(old.value) == canonical(new.value)


def _renamed(
    kind: str, pairs: Iterable[tuple[Element, Element]], servers: Mapping[str, str]
) -> Iterator[ElementDrift]:
    for old, new in pairs:
        changes = [*_changes(kind, old, new, servers)]
        key = naming_key(new, kind)
        names: tuple[Any, Any] = (old.path, new.path)
        if key and isinstance(old.value, Mapping):
            names = (old.value.get(key), new.value[key])
        pointer = f"/{key}" if key else ""
        name = _change(Kind.RENAMED, new.path, Difference(pointer, *names, Nature.NAME))
        # It is as grave as what else was done to it.
        worst = max([name.severity, *(change.severity for change in changes)])
        drift = _drift(new.path, [replace(name, severity=worst), *changes])
        yield replace(drift, former=old.path)


def _changes(
    kind: str, old: Element, new: Element, servers: Mapping[str, str]
) -> Iterator[Change]:
    if old.server and new.server and servers.get(old.server, old.server) != new.server:
        moved = Difference("", old.server, new.server, Nature.ENDPOINT)
        yield _change(Kind.CHANGED, new.path, moved)
    found = differences(kind, old.value, new.value, named_by=naming_key(new, kind))
    for difference in found:
        yield _change(Kind.CHANGED, new.path, difference)


def _whole(kind: str, change: Kind, element: Element) -> ElementDrift:
    is_new = change is Kind.ADDED
    before, after = (ABSENT, element.value) if is_new else (element.value, ABSENT)
    whole = Difference("", before, after, Nature.ELEMENT)
    found = _change(change, element.path, whole)
    severity = found.severity
    if not is_new:
        severity = Severity.LOW
    elif kind in GRAVE_ADDITIONS:
        severity = max(severity, Severity.HIGH)
    return _drift(element.path, [replace(found, severity=severity)])


def _change(kind: Kind, element: str, difference: Difference) -> Change:
    nature = Nature.HIDDEN_UNICODE if _hides(element, difference) else difference.nature
    return Change(
        kind=kind,
        element=element,
        path=difference.pointer,
        before=_value(difference.before),
        after=_value(difference.after),
        nature=nature,
        severity=SEVERITIES[nature],
    )


def _hides(element: str, difference: Difference) -> bool:
    """Whether invisible characters came with it, in a name too."""
    if difference.after is ABSENT:
        return False
    news = [difference.after]
    if difference.before is ABSENT:
        news += [difference.pointer, element if not difference.pointer else ""]
    # Minus what was there already: who approved it saw it, or could have.
    return bool(hidden_in(news) - hidden_in(_value(difference.before)))


def _value(value: Any) -> Any:
    return None if value is ABSENT else value


def _drift(element: str, changes: Sequence[Change]) -> ElementDrift:
    first, *rest = changes
    if first.kind is Kind.RENAMED:
        rest.sort(key=lambda change: -change.severity)
        ordered = [first, *rest]
    else:
        ordered = sorted(changes, key=lambda change: -change.severity)
    listed = tuple(ordered[:MAX_LISTED])
    return ElementDrift(element, listed, omitted=len(ordered) - len(listed))
