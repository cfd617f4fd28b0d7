"""Characters that a person does not see and a model reads."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

# Letters and marks that leave no ink: soft hyphen, grapheme joiner, fillers of Hangul,
# vowels of Khmer, the blank of Braille, selectors of variants.
_INKLESS = (
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0"
    "\ufe00-\ufe0f\U000e0100-\U000e01ef"
)
# Format, control, private and unassigned characters, and what breaks lines unseen.
_SUSPECT = re.compile(
    "[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f"
    "\u061c\u06dd\u070f\u08e2\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffc\ufffe\uffff"
    "\ue000-\uf8ff\U000e0000-\U000e0fff\U000f0000-\U0010ffff"
    f"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a{_INKLESS}]"
)
_JOINERS = "\u200d\ufe0e\ufe0f"
_PICTURES = frozenset({"So", "Sm", "Sk"})


def hidden_in(value: Any) -> Counter[str]:
    """Return the invisible characters of all texts and keys of `value`, counted.

    Those that make one picture of an emoji and its neighbours do not count.
    """
    found: Counter[str] = Counter()
    for text in texts_of(value):
        if text.isascii() and text.isprintable():
            continue
        found.update(m[0] for m in _SUSPECT.finditer(text) if not _in_emoji(text, m))
    return found


def _in_emoji(text: str, match: re.Match[str]) -> bool:
    if match[0] not in _JOINERS or not match.start():
        return False
    before = text[match.start() - 1]
    after = text[match.end() : match.end() + 1]
    is_picture = unicodedata.category(before) in _PICTURES
    if match[0] != "\u200d":
        # One selector chooses a picture, or makes a keycap of a digit. A row of them
        # carries something else.
        return is_picture or after == "\u20e3"
    return (is_picture or before == "\ufe0f") and unicodedata.category(
        after or " "
    ) == "So"


def visible(text: str) -> str:
    """Return `text` without the characters that nobody sees."""
    return text if text.isascii() else _SUSPECT.sub("", text)


def texts_of(value: Any) -> Iterator[str]:
    """Yield every text and key of a JSON value, however deep."""
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            yield node
        elif isinstance(node, Mapping):
            yield from node
            stack.extend(node.values())
        elif isinstance(node, list | tuple):
            stack.extend(node)
