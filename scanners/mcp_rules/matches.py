"""What a rule says when it matches. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scanners.mcp_rules.texts import Role, Text

MAX_SHOWN = 160  # characters of one span
MAX_SPANS = 6


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text: its offsets in code points, what it is, how it reads."""

    start: int
    end: int
    sign: str
    shown: str


@dataclass(frozen=True, slots=True)
class Match:
    """One rule at one place.

    `pointer` leads to the text, or to what else is meant; `element` to its tool,
    prompt, resource, server or instructions. `field` says in words what the place is,
    `seen` how the text had to be read. `key` is what is stable about the match.
    """

    rule: str
    pointer: str
    element: str
    field: str
    spans: tuple[Span, ...] = ()
    seen: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Unread:
    """A text of which the rules did not read all, and why, in words for people."""

    pointer: str
    element: str
    why: str


def unread(text: Text, why: str) -> Unread:
    """Return the gap that `why` leaves in `text`."""
    return Unread(text.pointer, text.element, f"{field_of(text)}: {why}")


def in_text(
    rule: str, text: Text, spans: Sequence[Span], *, seen: str = "", key: str = ""
) -> Match:
    """Return the match of `rule` in `text`."""
    spans = tuple(spans[:MAX_SPANS])
    return Match(rule, text.pointer, text.element, field_of(text), spans, seen, key)


def field_of(text: Text) -> str:
    """Return in words what this text is to its element."""
    if text.parameter and text.role is not Role.PARAMETER:
        return f"{text.role} of parameter {text.parameter}"
    if text.role is Role.PARAMETER:
        return f"name of parameter {text.parameter}"
    return text.pointer.removeprefix(f"{text.element}/") or "instructions"


def shown(text: str) -> str:
    """Return `text` so that a person sees what is in it, in one short line."""
    seen = "".join(
        char if char.isprintable() else " " if char in "\n\t" else f"<{ord(char):04X}>"
        for char in text[: 2 * MAX_SHOWN]
    )
    seen = " ".join(seen.split())
    return seen if len(seen) <= MAX_SHOWN else f"{seen[: MAX_SHOWN - 1]}…"
