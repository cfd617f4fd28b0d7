"""What one word is to the statistics of the engine: its stem, its meanings. Pure.

A word is looked at once: `FORMS` holds what is known of it from then on.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from scanners.mcp_rules.lexicon import MAX_KNOWN, Opened, opened

DATA: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parent / "concepts.json").read_text("utf-8")
)
DEEDS = frozenset(DATA["deeds"])


def form(name: str) -> frozenset[str]:
    """Return the small words of one form."""
    return frozenset(DATA["forms"][name].split())


_BE = frozenset({"be", "been", "get"})
_YOU = frozenset({"you", "your", "yourself", "youre"})
_WE = frozenset({"we", "our", "us", "i", "my", "me", "ours"})
_MODAL = frozenset({"must", "should", "shall", "needs"})
_MANNERS = {
    **dict.fromkeys(_BE, "PASSIVE"),
    **dict.fromkeys(_WE, "WE"),
    **dict.fromkeys(_YOU, "YOU"),
    **dict.fromkeys(_MODAL, "MODAL"),
}
_VOWEL = re.compile("[aeiouy]")


class Form(NamedTuple):
    """What is known of one word.

    `concepts` are those that may begin with its stem. `said` is the stem and `about`
    are the first four letters, "" where it is too short or not of letters alone.
    `orders` says whether it is a deed in its base form, `manner` how it speaks to the
    reader, or that it is a number.
    """

    stem: str
    concepts: Opened[str] | None
    said: str
    about: str
    orders: bool
    manner: str


def stem(word: str) -> str:
    """Return `word` without its ending, so that its forms are one."""
    if word.endswith(("ies", "ied")) and len(word) > 4:
        word = f"{word[:-3]}y"
    elif word.endswith("sses"):
        word = word[:-2]
    elif word.endswith("s") and word[-2:] not in ("ss", "us", "is") and len(word) > 3:
        word = word[:-1]
    for ending in ("ing", "ed"):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) >= 3 and _VOWEL.search(rest):
            is_double = rest[-1] == rest[-2] and rest[-1] not in "lsz"
            word = rest[:-1] if is_double and len(rest) > 3 else rest
            break
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


@cache
def _concepts() -> dict[str, Opened[str]]:
    """Return for the stem of a first word what may follow, and its concept."""
    found: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for name, entries in DATA["concepts"].items():
        for entry in entries:
            first, *rest = (stem(word) for word in entry.replace("'", "").split())
            found.setdefault(first, []).append((tuple(rest), name))
    return {first: opened(phrases) for first, phrases in found.items()}


@cache
def _orders() -> frozenset[str]:
    """Return the first words of all deeds in their base form."""
    entries = (entry for deed in DEEDS for entry in DATA["concepts"][deed])
    return frozenset(entry.split()[0] for entry in entries)


class _Forms(dict[str, Form]):
    """The forms of words, each made when it is first asked for."""

    def __missing__(self, word: str) -> Form:
        root, is_word = stem(word), word.isalpha()
        found = Form(
            root,
            _concepts().get(root),
            root if is_word and len(word) > 3 else "",
            word[:4] if is_word and len(word) > 4 else "",
            word in _orders(),
            _MANNERS.get(word) or ("NUMBER" if word.isdigit() else ""),
        )
        if len(self) < MAX_KNOWN:
            self[word] = found
        return found


FORMS = _Forms()
