"""A text as it is read and as it is said: each reading in its sentences. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from scanners.mcp_rules.reading import Reading
from scanners.mcp_rules.sentences import Names, Sentence, sentences_of
from scanners.mcp_rules.texts import Role, Text

MIN_LENGTH = 16  # characters; a shorter text tells nobody what to do
NAMES = (Role.NAME, Role.PARAMETER)
PLAINLY = ("", "as it is read")


class Spoken(NamedTuple):
    """One reading, and its sentences in English and in each other language."""

    reading: Reading
    languages: list[list[Sentence]]


def tells_anything(text: Text, said: str) -> bool:
    """Whether `said`, a reading of `text`, is long enough, and no bare name."""
    is_name = text.role in NAMES and said.isascii() and said.isidentifier()
    return len(said) >= MIN_LENGTH and not is_name


def spoken(text: Text, readings: Sequence[Reading], own: Names) -> list[Spoken]:
    """Return the readings of `text` that say something; `own` is its element's."""
    found = []
    for reading in readings:
        if tells_anything(text, reading.text):
            is_order = reading.how not in PLAINLY or text.role in (
                Role.VALUE,
                Role.OTHER,
            )
            languages = list(sentences_of(reading.text, own, is_order=is_order))
            found.append(Spoken(reading, languages))
    return found
