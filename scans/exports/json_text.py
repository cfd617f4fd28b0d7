"""Values to JSON, as the API writes it: UTC times end in `Z`, UUIDs are texts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

BATCH_BYTES = 1 << 16

type Pieces = Iterator[bytes]


def dump(value: Any) -> bytes:
    """Return `value` as compact JSON; raise `TypeError` for what is no JSON."""
    try:
        return orjson.dumps(value, option=orjson.OPT_UTC_Z)
    except orjson.JSONEncodeError:
        # A tool's evidence may hold integers beyond 64 bits.
        return json.dumps(value, default=_plain).encode()


def _plain(value: Any) -> Any:
    return orjson.loads(orjson.dumps(value, option=orjson.OPT_UTC_Z))


def object_with(head: dict[str, Any], name: str, items: Iterable[Pieces]) -> Pieces:
    """Yield the object `head` with one member more: the array `name` of `items`."""
    comma = b"," if head else b""
    yield dump(head)[:-1] + comma + dump(name) + b":["
    comma = b""
    for item in items:
        yield comma
        yield from item
        comma = b","
    yield b"]}"


def values(items: Iterable[Any]) -> Iterator[Pieces]:
    """Yield each value as an item for `object_with`."""
    for item in items:
        yield iter((dump(item),))


def batched(pieces: Iterable[bytes]) -> Pieces:
    """Put small pieces together: each would be a chunk of its own on the wire."""
    batch: list[bytes] = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += len(piece)
        if size >= BATCH_BYTES:
            yield b"".join(batch)
            batch, size = [], 0
    if batch:
        yield b"".join(batch)
