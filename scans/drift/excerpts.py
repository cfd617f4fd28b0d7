"""What is shown of a change: the values, or the part of them where they differ."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from scans.drift.changes import Change
from scans.drift.differences import canonical

AROUND = 100  # characters before the first and behind the last difference of two texts


def shown(change: Change, limit: int) -> tuple[Any, Any]:
    """Return `before` and `after` in about `limit` characters each.

    Of two long texts the part that differs, since words may hide behind a thousand
    others, and of that both ends: whoever rewords the beginning may hide something at
    the end. Of anything else that is too large its size and digest.
    """
    before, after = change.before, change.after
    if isinstance(before, str) and isinstance(after, str):
        if max(len(before), len(after)) <= limit:
            return before, after
        start = _common(before, after)
        rest = min(len(before), len(after)) - start
        end = min(_common(before[::-1], after[::-1]), rest)
        first, last = max(0, start - AROUND), max(0, end - AROUND)
        return _part(before, first, last, limit), _part(after, first, last, limit)
    return _bounded(before, limit), _bounded(after, limit)


def _common(left: str, right: str) -> int:
    size = min(len(left), len(right))
    if left[:size] == right[:size]:
        return size
    low, high = 0, size
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if left[:middle] == right[:middle] else (low, middle)
    return low


def _part(text: str, start: int, end: int, limit: int) -> str:
    """Return `text` without its first `start` and last `end` characters.

    What is still longer than `limit` loses its middle.
    """
    inner = text[start : len(text) - end]
    if len(inner) > limit:
        half = limit // 2
        inner = f"{inner[:half]}{_omitted(len(inner) - 2 * half)}{inner[-half:]}"
    return f"{_omitted(start)}{inner}{_omitted(end)}"


def _omitted(count: int) -> str:
    return f" … [{count} characters] … " if count else ""


def _bounded(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return _part(value, 0, 0, limit)
    if not isinstance(value, Mapping | list):
        return value
    form = canonical(value)
    if len(form) <= limit:
        return value
    short = _with_short_texts(value, limit // 8)
    if len(canonical(short)) <= limit:
        return short
    return {"size": len(form), "sha256": hashlib.sha256(form).hexdigest()}


def _with_short_texts(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return _part(value, 0, 0, limit)
    if isinstance(value, Mapping):
        return {key: _with_short_texts(child, limit) for key, child in value.items()}
    if isinstance(value, list):
        return [_with_short_texts(child, limit) for child in value]
    return value
