"""What may change in the definition of each kind of element."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scans.drift import elements as kinds
from scans.drift.changes import Nature
from scans.drift.differences import (
    ABSENT,
    Difference,
    is_same,
    keys_of,
    plain,
    step,
)
from scans.drift.schemas import schema

SCHEMAS = frozenset({"inputSchema", "outputSchema", "input_schema", "parameters"})
SERVER_KEYS = {
    "command": Nature.COMMAND,
    "args": Nature.COMMAND,
    "cwd": Nature.COMMAND,
    "disabled": Nature.COMMAND,
    "enabled": Nature.COMMAND,
    "env": Nature.ENVIRONMENT,
    "envFile": Nature.ENVIRONMENT,
    "headers": Nature.ENVIRONMENT,
    "url": Nature.ENDPOINT,
    "endpoint": Nature.ENDPOINT,
    "serverUrl": Nature.ENDPOINT,
    "httpUrl": Nature.ENDPOINT,
    "type": Nature.ENDPOINT,
    "transport": Nature.ENDPOINT,
    # Which tools the clients call without asking (Cline, Roo, Gemini, Amazon Q).
    "alwaysAllow": Nature.PERMISSION,
    "autoApprove": Nature.PERMISSION,
    "trust": Nature.PERMISSION,
}
ENTRY_KEYS = {
    "description": Nature.DESCRIPTION,
    "title": Nature.DESCRIPTION,
    "name": Nature.DESCRIPTION,
    "annotations": Nature.ANNOTATION,
    "uri": Nature.ENDPOINT,
    "uriTemplate": Nature.ENDPOINT,
}
FILE_KEYS = {
    "digest": Nature.CONTENT,
    "size": Nature.CONTENT,
    "format": Nature.FORMAT,
    "inside": Nature.INSIDE,
}
# Where there is none it is the same as an empty one, and each entry counts by itself.
OPENED = frozenset({"annotations", "env", "headers"})
OPTIONAL = SCHEMAS | SERVER_KEYS.keys() | ENTRY_KEYS.keys() | {"mimeType", "size"}
OPTIONAL |= {"_meta", "icons", "execution", "arguments", "required"}
TOLD = ("format", "inside")  # {scanner: what it says}


def differences(
    kind: str, before: Any, after: Any, *, named_by: str = ""
) -> Iterator[Difference]:
    """Yield what differs in two definitions; `named_by` is the key of their names."""
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        if not is_same(before, after):
            is_text = kind == kinds.INSTRUCTIONS
            nature = Nature.DESCRIPTION if is_text else Nature.OTHER
            yield Difference("", before, after, nature)
        return
    if kind == kinds.FILES:
        before, after = _told_by_both(before, after)
    for key, left, right in keys_of(_given(before), _given(after)):
        if key != named_by:
            yield from _part(kind, key, left, right)


def _given(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out nulls: one server writes them where another writes nothing.

    Under a known name alone: of another the name is what a model reads.
    """
    return {
        key: value
        for key, value in definition.items()
        if value is not None or key not in OPTIONAL
    }


def _told_by_both(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Leave of what scanners say of a file what the same one says of both.

    Nothing where the bytes are the same: then the scanner changed, or was not there.
    """
    left, right = dict(before), dict(after)
    is_same_file = is_same(left.get("digest"), right.get("digest"))
    for key in TOLD:
        olds, news = left.pop(key, None) or {}, right.pop(key, None) or {}
        both = () if is_same_file else olds.keys() & news.keys()
        left[key] = {scanner: olds[scanner] for scanner in both}
        right[key] = {scanner: news[scanner] for scanner in both}
    return left, right


def _part(kind: str, key: str, before: Any, after: Any) -> Iterator[Difference]:
    pointer = step("", key)
    if kind == kinds.TOOLS and key in SCHEMAS:
        yield from schema(pointer, before, after)
        return
    if kind == kinds.PROMPTS and key == "arguments":
        yield from _arguments(pointer, before, after)
        return
    if key in OPENED:
        before, after = _opened(before, after)
    nature = _nature(kind, key, before, after)
    yield from plain(pointer, before, after, nature)


def _opened(before: Any, after: Any) -> tuple[Any, Any]:
    if before is ABSENT and isinstance(after, Mapping):
        return {}, after
    if after is ABSENT and isinstance(before, Mapping):
        return before, {}
    return before, after


def _nature(kind: str, key: str, before: Any, after: Any) -> Nature:
    if kind == kinds.SERVERS:
        return SERVER_KEYS.get(key.removesuffix("_query"), Nature.OTHER)
    if kind == kinds.FILES:
        return FILE_KEYS.get(key, Nature.OTHER)
    if kind == kinds.SETTINGS:
        return Nature.PERMISSION
    known = ENTRY_KEYS.get(key)
    if known is None and any(isinstance(value, str) for value in (before, after)):
        return Nature.OTHER if key == "mimeType" else Nature.DESCRIPTION
    return known or Nature.OTHER


def _arguments(pointer: str, before: Any, after: Any) -> Iterator[Difference]:
    """Yield what differs in a prompt's arguments, which are known by their names."""
    olds, news = _named(before), _named(after)
    if olds is None or news is None:
        if not is_same(before, after):
            yield Difference(pointer, before, after, Nature.SCHEMA_CHANGED)
        return
    none: tuple[int, Any] = (-1, ABSENT)
    for name in dict.fromkeys([*news, *olds]):
        index, new = news.get(name, none)
        place, old = olds.get(name, none)
        here = step(pointer, place if new is ABSENT else index)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _argument(here, old, new)
        else:
            is_new = old is ABSENT
            nature = Nature.SCHEMA_WIDENED if is_new else Nature.SCHEMA_NARROWED
            yield Difference(here, old, new, nature)


def _named(value: Any) -> dict[str, tuple[int, Mapping[str, Any]]] | None:
    """Return the arguments by name; None where they cannot be told apart by it."""
    entries = [] if value is ABSENT else value
    if not isinstance(entries, list):
        return None
    named = {
        entry["name"]: (index, entry)
        for index, entry in enumerate(entries)
        if isinstance(entry, Mapping) and isinstance(entry.get("name"), str)
    }
    return named if len(named) == len(entries) else None


def _argument(
    pointer: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[Difference]:
    for key, left, right in keys_of(_given(before), _given(after)):
        here = step(pointer, key)
        if key != "required":
            yield from plain(here, left, right, Nature.DESCRIPTION)
        elif not is_same(_required(left), _required(right)):
            is_dropped = _required(right) is False
            nature = Nature.SCHEMA_WIDENED if is_dropped else Nature.SCHEMA_NARROWED
            yield Difference(here, left, right, nature)


def _required(value: Any) -> Any:
    # Without the word an argument is optional.
    return False if value is ABSENT else value
