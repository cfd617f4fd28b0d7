"""Two JSON values side by side: where they differ, and what that means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from scans.drift.changes import Nature


class _Absent:
    """Stands where a key or an entry is not there: null is a value of its own."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
type Judge = Callable[[str], Nature]


@dataclass(frozen=True, slots=True)
class Difference:
    """`before` and `after` may be `ABSENT`."""

    pointer: str
    before: Any
    after: Any
    nature: Nature


def step(pointer: str, key: str | int) -> str:
    """Return `pointer` one step further (RFC 6901)."""
    return f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"


def canonical(value: Any) -> bytes:
    """Return bytes that are equal for equal values, whatever the order of keys."""
    try:
        return orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # half a surrogate pair
        return repr(_sorted(value)).encode("utf-8", "backslashreplace")


def _plain(value: Any) -> Any:
    # 1.0 is the same number as 1 (RFC 8785), also after a JSON writer of another kind.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return sorted((key, _sorted(child)) for key, child in value.items())
    return [*map(_sorted, value)] if isinstance(value, list | tuple) else value


def is_same(before: Any, after: Any) -> bool:
    """Whether two values are the same JSON; True is not 1, and 1.0 is."""
    if before is ABSENT or after is ABSENT:
        return before is after
    if canonical(before) == canonical(after):
        return True
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return before.keys() == after.keys() and all(
            is_same(child, after[key]) for key, child in before.items()
        )
    if isinstance(before, list | tuple) and isinstance(after, list | tuple):
        return len(before) == len(after) and all(map(is_same, before, after))
    return False


def plain(
    pointer: str, before: Any, after: Any, nature: Nature
) -> Iterator[Difference]:
    """Yield the differences of two values of which all mean the same.

    Objects are followed into their keys and lists of objects into their entries; a list
    of texts is one value, so that an argument more is one difference.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key, left, right in keys_of(before, after):
            yield from plain(step(pointer, key), left, right, nature)
    elif _is_objects(before) and _is_objects(after):
        for index, left, right in _entries(before, after):
            yield from plain(step(pointer, index), left, right, nature)
    elif not is_same(before, after):
        yield Difference(pointer, before, after, nature)


def _is_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(e, Mapping) for e in value)


def _entries(
    before: Sequence[Any], after: Sequence[Any]
) -> Iterator[tuple[int, Any, Any]]:
    for index in range(max(len(before), len(after))):
        left = before[index] if index < len(before) else ABSENT
        right = after[index] if index < len(after) else ABSENT
        yield index, left, right


def keys_of(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Yield key, value before and value after, in the order of the keys."""
    for key in sorted(before.keys() | after.keys()):
        yield key, before.get(key, ABSENT), after.get(key, ABSENT)


def same_set(before: Sequence[Any], after: Sequence[Any]) -> bool:
    return set(map(canonical, before)) == set(map(canonical, after))


def matched(before: Sequence[Any], after: Sequence[Any]) -> list[tuple[int, Any, Any]]:
    """Pair what is left of two lists without order once equal entries are taken out.

    The index is that of the list where the entry is, of the newer one if in both.
    """
    rest, news = Counter(map(canonical, before)), []
    for index, value in enumerate(after):
        form = canonical(value)
        if rest[form]:
            rest[form] -= 1
        else:
            news.append((index, value))
    olds = []
    for index, value in reversed([*enumerate(before)]):
        form = canonical(value)
        if rest[form]:
            rest[form] -= 1
            olds.append((index, value))
    olds.reverse()
    pairs = [(j, old, new) for (_, old), (j, new) in zip(olds, news, strict=False)]
    pairs += [(i, old, ABSENT) for i, old in olds[len(news) :]]
    return pairs + [(j, ABSENT, new) for j, new in news[len(olds) :]]
