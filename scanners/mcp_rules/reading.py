"""What a model reads where a person sees something else, or nothing. Pure.

A text has several readings: as it is written, without what is invisible in it, with
look-alike letters replaced, and each part that is written in a code, decoded. Rules
look at all of them; a span always leads back into the text as it was submitted.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from confusable_homoglyphs import confusables

from scanners.mcp_rules import decoding

MAX_DEPTH = 3
MAX_READINGS = 200
MAX_TOGETHER = 20_000  # characters; what is longer is looked at text by text
# No run of any code goes on behind two ends of lines.
APART = "\n\n"
MAX_LENGTH = 200_000  # characters of one text and of all that is decoded from it

# Unicode's default ignorable code points and others that show nothing.
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
WORD = re.compile(r"[^\W\d_]+")
_ESCAPE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)?|.)"
)
_SPELT = (
    (decoding.TAGS, re.compile("[\U000e0000-\U000e007f]{2,}")),
    (decoding.SELECTORS, re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{3,}")),
    (decoding.ZERO_WIDTH, re.compile("[\u200b-\u200d\u2060-\u2064]{16,}")),
    (decoding.TURNED, re.compile("[\u202e\u202d]([^\u202c\n]{4,})")),
)


class Reading(NamedTuple):
    """One way to read a text; `how` is empty for the text as it is written.

    `places` holds the place of each character in the submitted text; without them the
    reading stands there whole, from `start` to `end`. `left_out` says on the plain
    reading, in words for people, what of the text no reading has.
    """

    text: str
    how: str = ""
    start: int = 0
    end: int = 0
    places: Sequence[int] | None = None
    left_out: str = ""

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return where text[start:end] stands in what was submitted."""
        if self.places is not None:
            return self.places[start], self.places[max(start, end - 1)] + 1
        if self.how:
            return self.start, self.end
        return start, end


def is_plain(together: str) -> bool:
    """Whether of no text in `together`, set apart by `APART`, is there another reading.

    One look at all texts of an element is cheaper than one at each of them.
    """
    if len(together) > MAX_TOGETHER or not _is_as_shown(together):
        return False
    return next(decoding.decoded(together), None) is None


def readings(text: str) -> list[Reading]:
    """Return all readings of `text`, the plain one first."""
    whole, text = text, text[:MAX_LENGTH]
    plain = plain_reading(text)
    found, left_out, budget = [plain], "", MAX_LENGTH
    for reading, depth in _inside(text, found):
        budget -= len(reading.text)
        left_out = _too_much(len(found), budget, depth)
        if left_out:
            break
        found.append(reading)
    if len(whole) > MAX_LENGTH:
        left_out = f"of a text of {len(whole):,} characters {MAX_LENGTH:,} were read"
    return [plain._replace(left_out=left_out), *found[1:]] if left_out else found


def _inside(text: str, found: list[Reading]) -> Iterator[tuple[Reading, int]]:
    """Yield what is spelt or coded in a text, and in how many codes.

    `found` begins with the plain reading, and takes each that is yielded.
    """
    if found[0].places is not None:
        yield from ((reading, 0) for reading in _hidden(text))
    start, depth = 0, 0
    while start < len(found):
        level, start, depth = found[start:], len(found), depth + 1
        for outer in level:
            yield from ((inner, depth) for inner in _decoded(outer))


def _too_much(count: int, budget: int, depth: int) -> str:
    """Return why a text is not decoded further; "" if it is."""
    if depth > MAX_DEPTH:
        return f"a text is in codes within codes, and {MAX_DEPTH} were decoded"
    if count >= MAX_READINGS:
        return f"of a text with many parts in codes {MAX_READINGS} were decoded"
    if budget < 0:
        return f"of what a text has in codes {MAX_LENGTH:,} characters were decoded"
    return ""


def _decoded(outer: Reading) -> Iterator[Reading]:
    for part in decoding.decoded(outer.text):
        start, end = outer.span(part.start, part.end)
        how = (
            part.how
            if outer.places is not None or not outer.how
            else (f"{outer.how}, {part.how}")
        )
        text = part.text
        if not text.isascii():
            text = plain_reading(text).text
        yield Reading(text, how, start, end)


def plain_reading(text: str) -> Reading:
    """Return `text` as it is read aloud: nothing invisible, letters that look alike."""
    if _is_as_shown(text):
        return Reading(text, end=len(text))
    kept: list[str] = []
    places: list[int] = []
    skip = {
        place
        for match in _ESCAPE.finditer(text)
        for place in range(match.start(), match.end())
    }
    for place, char in enumerate(text):
        if place in skip or INVISIBLE.match(char):
            continue
        plain = char if char.isascii() else unicodedata.normalize("NFKC", char)
        kept.append(plain)
        places += [place] * len(plain)
    read = unmasked("".join(kept))
    how = "" if read == text else "as it is read"
    return Reading(read, how, 0, len(text), places)


def _is_as_shown(text: str) -> bool:
    return text.isascii() and "\x1b" not in text


def unmasked(text: str) -> str:
    """Return `text` with letters of other scripts in Latin words made Latin.

    Of the same length. Words of one script stay: they are another language.
    """
    if text.isascii():
        return text
    return WORD.sub(lambda match: unmasked_word(match[0]), text)


def unmasked_word(word: str) -> str:
    """Return a word of mixed scripts in Latin letters if it can be read so."""
    if word.isascii() or not any("a" <= char.lower() <= "z" for char in word):
        return word
    return "".join(_latin(char) for char in word)


def _latin(char: str) -> str:
    if char.isascii():
        return char
    for known in confusables.confusables_data.get(char, ()):
        like = known["c"]
        if len(like) == 1 and like.isascii() and like.isalpha():
            # The data knows one case of some letters only.
            return str(like.lower() if char.islower() else like)
    return char


def _hidden(text: str) -> Iterator[Reading]:
    """Read what is spelt out of characters that show nothing."""
    for how, run in _SPELT:
        for match in run.finditer(text):
            if spelt := decoding.SPELT[how](match[match.lastindex or 0]):
                yield Reading(spelt, how, match.start(), match.end())
