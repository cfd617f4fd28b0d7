"""The word classes of each language, from `words/*.json`. Standard library only.

An entry is one word or several; a star stands for any ending. In English the other
forms of a verb are derived from its base form: which form stands in a text says whether
it orders ("send") or describes ("sends").
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent / "words"
MIN_STEM = 3
MAX_KNOWN = 50_000  # words; a stranger's text must not fill the memory
MAX_STEM = 40

PLAIN, BASE, S_FORM, ING, PAST = "", "base", "s", "ing", "past"

type Meaning = tuple[str, str]  # class, form
type Phrase = tuple[tuple[str, ...], Meaning]  # the words after the first
# What one word means alone; and by the word after it all phrases that may begin there.
type Opened[T] = tuple[tuple[T, ...], dict[str, tuple[tuple[tuple[str, ...], T], ...]]]

MARKS = ',:()<>[]"`\u201c\u201d\u2014\uff0c\u3001*'
# What begins with a mark, or a word that means nothing.
NOTHING: tuple[tuple[()], dict[str, Any]] = (), {}


@dataclass(slots=True)
class Lexicon:
    """The words of one language.

    `phrases` holds for a first word what may follow it; `stems` the same for words that
    begin so. Of a language without blanks `pattern` matches every entry.
    """

    language: str
    phrases: dict[str, list[Phrase]] = field(default_factory=dict)
    stems: dict[str, list[Meaning]] = field(default_factory=dict)
    hints: frozenset[str] = frozenset()
    pattern: re.Pattern[str] | None = None
    known: dict[str, Opened[Meaning]] = field(default_factory=dict)
    plain: dict[str, Opened[Meaning]] = field(
        default_factory=lambda: dict.fromkeys(MARKS, NOTHING)
    )

    def meanings(self, word: str, *, is_plain: bool) -> Opened[Meaning]:
        """Return the phrases that begin with `word`.

        `known` holds earlier answers, `plain` those for words of which nothing else is
        to be said.
        """
        found = self.known.get(word) or opened(list(self._looked_up(word)))
        if len(self.known) < MAX_KNOWN:
            self.known[word] = found
            if is_plain:
                self.plain[word] = found
        return found

    def _looked_up(self, word: str) -> Iterator[Phrase]:
        yield from self.phrases.get(word, ())
        for length in (
            range(MIN_STEM, min(len(word), MAX_STEM) + 1) if self.stems else ()
        ):
            for meaning in self.stems.get(word[:length], ()):
                yield (), meaning


def opened[T](phrases: Sequence[tuple[tuple[str, ...], T]]) -> Opened[T]:
    """Return the `phrases` of one first word by their second; each keeps its order."""
    if not phrases:
        return NOTHING
    seconds = {rest[0] for rest, _ in phrases if rest}
    return tuple(meaning for rest, meaning in phrases if not rest), {
        second: tuple(
            (rest, meaning)
            for rest, meaning in phrases
            if not rest or rest[0] == second
        )
        for second in seconds
    }


@cache
def lexicons() -> dict[str, Lexicon]:
    """Return all lexicons by language."""
    return {path.stem: _read(path) for path in sorted(HERE.glob("*.json"))}


@cache
def hinted() -> dict[str, tuple[str, ...]]:
    """Return the languages that a small word tells of."""
    found: dict[str, tuple[str, ...]] = {}
    for language, lexicon in lexicons().items():
        for word in lexicon.hints:
            found[word] = (*found.get(word, ()), language)
    return found


def _read(path: Path) -> Lexicon:
    data = json.loads(path.read_text("utf-8"))
    lexicon = Lexicon(data["language"], hints=frozenset(data.get("hints", ())))
    entries = list(dict.fromkeys(_spelt(data)))
    for words, meaning in entries:
        if words[-1].endswith("*") and len(words) == 1:
            lexicon.stems.setdefault(words[0][:-1], []).append(meaning)
        else:
            rest = tuple(word.rstrip("*") for word in words[1:])
            phrases = lexicon.phrases.setdefault(words[0].rstrip("*"), [])
            phrases.append((rest, meaning))
    if data.get("spaces") is False:
        known = sorted({w for words, _ in entries for w in words}, key=len)
        lexicon.pattern = re.compile("|".join(map(re.escape, known[::-1])))
    return lexicon


def _spelt(data: dict[str, dict[str, list[str]]]) -> Iterator[Phrase]:
    """Yield the entries, also as they are written without their accents."""
    for words, meaning in _entries(data):
        yield words, meaning
        said = " ".join(words)
        for plain in (
            () if said.isascii() else (_unaccented(said), said.translate(_TWO))
        ):
            if plain.isascii():
                yield tuple(plain.split()), meaning


def _unaccented(text: str) -> str:
    parts = unicodedata.normalize("NFKD", text)
    return "".join(char for char in parts if not unicodedata.combining(char))


def _entries(data: dict[str, dict[str, list[str]]]) -> Iterator[Phrase]:
    for name, entries in data.get("words", {}).items():
        for entry in entries:
            yield tuple(_plain(entry).split()), (name, PLAIN)
    for name, entries in data.get("verbs", {}).items():
        for entry in entries:
            for words, (_, form) in _forms(entry):
                yield words, (name, form)


def _plain(entry: str) -> str:
    return entry.lower().replace("'", "")


def _forms(entry: str) -> Iterator[Phrase]:
    """Yield a verb in all its forms; what stands behind a stroke is irregular.

    "look up" is a verb and what goes with it; "send/sent" a verb and its past.
    """
    regular, *irregular = _plain(entry).split("/")
    base, *rest = regular.split()
    yield (base, *rest), ("", BASE)
    yield from (((form, *rest), ("", PAST)) for form in irregular)
    if base in _UNCHANGED:
        return
    ending = "es" if base.endswith(("s", "sh", "ch", "x", "z", "o")) else "s"
    stem = base if base.endswith("ee") else base.removesuffix("e")
    if base.endswith("y") and base[-2:-1] not in ("a", "e", "o"):
        yield (f"{base[:-1]}ies", *rest), ("", S_FORM)
        yield (f"{base[:-1]}ied", *rest), ("", PAST)
    else:
        yield (f"{base}{ending}", *rest), ("", S_FORM)
        yield (f"{stem}ed", *rest), ("", PAST)
    if _DOUBLED.fullmatch(base):
        yield (f"{base}{base[-1]}ing", *rest), ("", ING)
        yield (f"{base}{base[-1]}ed", *rest), ("", PAST)
    yield (f"{stem}ing", *rest), ("", ING)


_TWO = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_UNCHANGED = frozenset({"do", "dont", "never", "no", "put", "set"})
# run, get, put, drop, submit: one consonant after one vowel at the end.
_DOUBLED = re.compile(r"(?:[a-z]{0,3}[^aeiou])?[aeiou][bdgmnptrl]|submit|permit|concat")
