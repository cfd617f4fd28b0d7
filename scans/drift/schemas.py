"""JSON Schema, before and after: does it take more than it did?

Keywords as in draft 2020-12 and draft 7 (json-schema.org). Where a keyword's name is a
parameter's (`properties/required`) it is no keyword. What cannot be told is
`schema_changed`, and as grave as wider.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scans.drift.changes import Nature
from scans.drift.differences import (
    ABSENT,
    Difference,
    canonical,
    is_same,
    keys_of,
    matched,
    plain,
    same_set,
    step,
)

WIDENED, NARROWED = Nature.SCHEMA_WIDENED, Nature.SCHEMA_NARROWED
CHANGED = Nature.SCHEMA_CHANGED

TEXTS = frozenset({"description", "title", "$comment", "examples", "example"})
# Keys of these are names, and their values schemas.
MAPS = frozenset({"properties", "patternProperties", "dependentSchemas"})
DEFINITIONS = frozenset({"$defs", "definitions"})
NESTED = frozenset(
    {"items", "additionalItems", "unevaluatedItems", "contains", "propertyNames"}
    | {"additionalProperties", "unevaluatedProperties", "contentSchema"}
)
CHOICES, ALL_OF = frozenset({"anyOf", "oneOf"}), "allOf"
UPPER = frozenset(
    {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"}
    | {"maxContains"}
)
LOWER = frozenset(
    {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"}
    | {"minContains"}
)
# To have one narrows; another one is neither wider nor narrower for sure.
LIMITS = frozenset({"pattern", "format", "multipleOf", "contentEncoding", "const"})
TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})


def schema(pointer: str, before: Any, after: Any) -> Iterator[Difference]:
    """Yield the differences of two schemas."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key, left, right in keys_of(before, after):
            yield from _keyword(key, step(pointer, key), left, right)
    elif not (is_same(before, after) or (_takes_all(before) and _takes_all(after))):
        yield Difference(pointer, before, after, _whole(before, after))


def _takes_all(value: Any) -> bool:
    """Whether it is no condition at all, in one of three spellings."""
    return value is ABSENT or value is True or value == {}


def _whole(before: Any, after: Any) -> Nature:
    """Judge a schema that came, went or is a truth value."""
    if _takes_all(after) or before is False:
        return WIDENED
    if _takes_all(before) or after is False:
        return NARROWED
    return CHANGED


def _keyword(key: str, pointer: str, before: Any, after: Any) -> Iterator[Difference]:
    if key in MAPS or key in DEFINITIONS:
        yield from _map(key, pointer, before, after)
    elif key in CHOICES or key == ALL_OF or _is_tuple(key, before, after):
        yield from _list(key, pointer, before, after)
    elif key == "contains" and (before is ABSENT) != (after is ABSENT):
        # It takes no empty list, whatever its schema takes.
        nature = NARROWED if before is ABSENT else WIDENED
        yield Difference(pointer, before, after, nature)
    elif key in NESTED:
        yield from schema(pointer, before, after)
    elif key in TEXTS:
        yield from plain(pointer, before, after, Nature.DESCRIPTION)
    elif key in {"required", "enum", "type"}:
        yield from _set(key, pointer, before, after)
    elif not is_same(before, after):
        yield Difference(pointer, before, after, _judge(key, before, after))


def _is_tuple(key: str, before: Any, after: Any) -> bool:
    is_list = isinstance(before, list) and isinstance(after, list)
    return is_list and (key in {"prefixItems", "items"})


def _map(key: str, pointer: str, before: Any, after: Any) -> Iterator[Difference]:
    if not all(
        value is ABSENT or isinstance(value, Mapping) for value in (before, after)
    ):
        if not is_same(before, after):
            yield Difference(pointer, before, after, CHANGED)
        return
    # An empty one says what no one says.
    olds = before if isinstance(before, Mapping) else {}
    news = after if isinstance(after, Mapping) else {}
    for name, left, right in keys_of(olds, news):
        here = step(pointer, name)
        if left is not ABSENT and right is not ABSENT:
            yield from schema(here, left, right)
        elif key in DEFINITIONS:
            yield Difference(here, left, right, CHANGED)
        else:
            # A parameter more is one more way in, whatever it allows.
            yield Difference(here, left, right, WIDENED if left is ABSENT else NARROWED)


def _list(key: str, pointer: str, before: Any, after: Any) -> Iterator[Difference]:
    if not (isinstance(before, list) and isinstance(after, list)):
        if not is_same(before, after):
            nature = _whole(before, after) if ABSENT in (before, after) else CHANGED
            yield Difference(pointer, before, after, nature)
        return
    if key in CHOICES or key == ALL_OF:
        pairs = matched(before, after)
    else:
        size = max(len(before), len(after))
        olds = [*before, *[ABSENT] * (size - len(before))]
        news = [*after, *[ABSENT] * (size - len(after))]
        pairs = [*zip(range(size), olds, news, strict=True)]
    for index, left, right in pairs:
        here = step(pointer, index)
        if left is not ABSENT and right is not ABSENT:
            yield from schema(here, left, right)
            continue
        # One choice more takes more, one condition more takes less.
        is_more = (left is ABSENT) == (key in CHOICES)
        yield Difference(here, left, right, WIDENED if is_more else NARROWED)


def _set(key: str, pointer: str, before: Any, after: Any) -> Iterator[Difference]:
    olds, news = _members(key, before), _members(key, after)
    if olds is None or news is None:
        if not is_same(before, after):
            yield Difference(pointer, before, after, CHANGED)
        return
    if key == "type" and before is not ABSENT and after is not ABSENT:
        olds, news = _types(olds), _types(news)
    # No `required` is an empty one; an empty `enum` takes nothing, and none takes all.
    is_there = (before is ABSENT) == (after is ABSENT)
    if same_set(olds, news) and (key == "required" or is_there):
        return
    yield Difference(pointer, before, after, _moved(key, before, after, olds, news))


def _members(key: str, value: Any) -> list[Any] | None:
    """Return the entries of a list without order; None for what is no such list."""
    if value is ABSENT:
        return []
    if key == "type" and isinstance(value, str):
        return [value]
    return value if isinstance(value, list) else None


def _moved(
    key: str, before: Any, after: Any, olds: list[Any], news: list[Any]
) -> Nature:
    if key == "required":
        was, now = set(map(canonical, olds)), set(map(canonical, news))
        return WIDENED if was - now else NARROWED
    if after is ABSENT:
        return WIDENED
    if before is ABSENT:
        return NARROWED
    was, now = set(map(canonical, olds)), set(map(canonical, news))
    if was < now:
        return WIDENED
    return NARROWED if now < was else CHANGED


def _types(names: list[Any]) -> list[Any]:
    """A number may be an integer."""
    return [*names, "integer"] if "number" in names else names


def _judge(key: str, before: Any, after: Any) -> Nature:
    if key in UPPER or key in LOWER:
        return _bound(key in UPPER, before, after)
    if key in LIMITS:
        if after is ABSENT:
            return WIDENED
        return NARROWED if before is ABSENT else CHANGED
    if key == "uniqueItems":
        return NARROWED if after is True else WIDENED
    if key.startswith("$") or key in {"default", "not", "if", "then", "else"}:
        return CHANGED
    # A word that no draft knows: whoever reads it reads its text.
    is_text = isinstance(before, str) or isinstance(after, str)
    return Nature.DESCRIPTION if is_text else CHANGED


def _bound(is_upper: bool, before: Any, after: Any) -> Nature:
    if after is ABSENT or after is False:
        return WIDENED
    if before is ABSENT or before is False:
        return NARROWED
    if not all(isinstance(value, int | float) for value in (before, after)):
        return CHANGED
    return WIDENED if (after > before) == is_upper else NARROWED


def parameters_of(value: Any) -> frozenset[str]:
    """Return `name:type` of every parameter of a schema's first level."""
    properties = value.get("properties") if isinstance(value, Mapping) else None
    if not isinstance(properties, Mapping):
        return frozenset()
    return frozenset(f"{name}:{_type_of(one)}" for name, one in properties.items())


def _type_of(value: Any) -> str:
    named = value.get("type") if isinstance(value, Mapping) else ""
    return named if isinstance(named, str) else "|".join(sorted(map(str, named or ())))
