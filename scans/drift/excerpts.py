"""What is shown of a change: the values, or the part of them where they differ."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from scans.drift.changes import Change
from scans.drift.differences import canonical

AROUND = 100  # characters before the first difference of two long texts


def shown(change: Change, limit: int) -> tuple[Any, Any]:
    """Return `before` and `after` in about `limit` characters each.

    Of two long texts the part that differs, since words may hide behind a thousand
    others; of anything else that is too large its size and digest.
    """
    before, after = change.before, change.after
    if isinstance(before, str) and isinstance(after, str):
        if max(len(before), len(after)) <= limit:
            return before, after
        start = max(0, _common(before, after) - AROUND)
        return _part(before, start, limit), _part(after, start, limit)
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


def _part(text: str, start: int, limit: int) -> str:
    end = start + limit
    before = f"[{start} characters] …" if start else ""
    after = f"… [{len(text) - end} characters]" if len(text) > end else ""
    return f"{before}{text[start:end]}{after}"


def _bounded(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return _part(value, 0, limit)
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
        return _part(value, 0, limit)
    if isinstance(value, Mapping):
        return {key: _with_short_texts(child, limit) for key, child in value.items()}
    if isinstance(value, list):
        return [_with_short_texts(child, limit) for child in value]
    return value
