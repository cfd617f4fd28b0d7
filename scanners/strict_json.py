"""JSON that every reader reads alike: no key twice, no NaN, no depth without end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from scanners.mcp_rules.servers import escape

MAX_DEPTH = 60  # below the 64 levels that the tools' own walks stop at
MAX_NODES = 2_000_000
# Characters of the keys that lead to a value. Whoever walks a document says where it is
# for each value anew: long keys above many values would take any memory.
MAX_POINTER = 4_096
# RFC 8785 numbers are IEEE 754 doubles: a larger integer has no canonical form.
MAX_INTEGER = 2**53 - 1


class DocumentError(ValueError):
    """The submitted document is not usable.

    `pointer` is an RFC 6901 JSON pointer into what was submitted ("" is the whole),
    `message` a sentence for people.
    """

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(f"{pointer}: {message}" if pointer else message)
        self.pointer = pointer
        self.message = message


def parse(raw: bytes) -> Any:
    """Return the value of `raw`; raise `DocumentError`."""
    try:
        return json.loads(
            raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_no_constant,
        )
    except RecursionError:
        raise DocumentError("", "This JSON is nested too deeply.") from None
    except UnicodeDecodeError:
        raise DocumentError("", "This is not UTF-8 text.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise DocumentError("", f"This is not JSON: {error.msg} ({where}).") from None
    except DocumentError:
        raise
    except ValueError:  # an integer of more digits than Python converts
        raise DocumentError("", "A number in this JSON is too large.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        # Readers disagree on which one counts: one of the two would go unseen.
        raise DocumentError("", f"The key {twice[:80]!r} stands twice in one object.")
    return value


def _no_constant(name: str) -> NoReturn:
    raise DocumentError("", f"{name} is not a JSON number.")


def check(value: Any) -> None:
    """Raise `DocumentError` for what has no canonical form or is too deep or large."""
    # Of each level what is left of it: places are made one at a time.
    levels = [iter([("", value)])]
    nodes = 0
    while levels:
        pointer, node = next(levels[-1], ("", levels))
        if node is levels:
            levels.pop()
            continue
        nodes += 1
        if nodes > MAX_NODES:
            raise DocumentError("", f"More than {MAX_NODES} values in one document.")
        if len(levels) > MAX_DEPTH + 1:
            raise DocumentError(pointer, f"Nested more than {MAX_DEPTH} levels deep.")
        if isinstance(node, Mapping | list | tuple):
            levels.append(_inside(node, pointer))
        else:
            _check_leaf(node, pointer)


def _inside(
    node: Mapping[Any, Any] | Sequence[Any], pointer: str
) -> Iterator[tuple[str, Any]]:
    """Yield what is right below `node`, with its place."""
    if not isinstance(node, Mapping):
        yield from ((f"{pointer}/{place}", child) for place, child in enumerate(node))
        return
    for key, child in node.items():
        if not isinstance(key, str):
            raise DocumentError(pointer, "A key is not text.")
        _check_leaf(key, pointer)
        if len(pointer) + len(key) > MAX_POINTER:
            raise DocumentError(
                pointer, f"Keys of more than {MAX_POINTER} characters lead to a value."
            )
        yield f"{pointer}/{escape(key)}", child


def _check_leaf(node: Any, pointer: str) -> None:
    if isinstance(node, str):
        if not node.isascii() and any("\ud800" <= c <= "\udfff" for c in node):
            raise DocumentError(pointer, "This text holds half of a surrogate pair.")
    elif isinstance(node, float):
        if node != node or node in (float("inf"), float("-inf")):
            raise DocumentError(pointer, "This number is too large for JSON.")
    elif isinstance(node, int):
        if abs(node) > MAX_INTEGER:
            raise DocumentError(pointer, "This number is too large for JSON.")
    elif node is not None:
        raise DocumentError(pointer, "This is not a JSON value.")
