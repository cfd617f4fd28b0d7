"""What templates draw the same way everywhere."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

SEVERITIES = ("critical", "high", "medium", "low", "info")
VERDICTS = {
    "pass": ("pass", "Pass"),
    "fail": ("fail", "Fail"),
    "inconclusive": ("inconclusive", "Inconclusive"),
    "queued": ("queued", "Queued"),
    "running": ("running", "Running"),
    "cancelled": ("cancelled", "Cancelled"),
}
STEPS = (
    (60, 1, "s"),
    (3600, 60, "min"),
    (86_400, 3600, "h"),
    (31 * 86_400, 86_400, "d"),
)
# What stands in a text and is not seen, or turns its direction: U+00AD, zero widths,
# directions, variation selectors, tags (Unicode categories Cc, Cf and some of Mn).
_SEEN_CONTROLS = frozenset("\n\t")
_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u180e")


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """Draw a symbol of the sprite; only with a `label` it is read out."""
    sprite = static("console/icons.svg")
    if label:
        return format_html(
            '<svg class="icon" role="img" aria-label="{}"><use href="{}#{}"/></svg>',
            label,
            sprite,
            name,
        )
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"/></svg>', sprite, name
    )


@register.simple_tag
def severity(name: str, count: object = "") -> SafeString:
    """A word and a shape beside the colour: it holds for colour-blind readers."""
    said = name if count == "" else f"{count} {name}"
    return format_html(
        '<span class="severity severity-{}">{}{}</span>', name, icon(name), said
    )


@register.simple_tag
def verdict(row: Mapping[str, Any]) -> SafeString:
    """The gate's answer of a scan, or its state while there is none."""
    name, said = VERDICTS[row["verdict"] or row["scan_status"]]
    return format_html(
        '<span class="verdict verdict-{}">{}{}</span>', name, icon(name), said
    )


@register.simple_tag
def severity_bar(row: Mapping[str, Any]) -> SafeString:
    """The shares of each severity as one bar, and their counts in words."""
    counts = [(name, row[f"{name}_count"]) for name in SEVERITIES]
    total = sum(count for _, count in counts)
    if not total:
        return mark_safe('<span class="none">none</span>')
    pieces, begin = [], 0.0
    for name, count in counts:
        if count:
            width = max(count / total * 100, 4)
            pieces.append((f"{begin:.1f}", f"{width:.1f}", name))
            begin += width
    bars = format_html_join(
        "", '<rect x="{}" width="{}" height="8" class="fill-{}"/>', pieces
    )
    said = ", ".join(f"{count} {name}" for name, count in counts if count)
    worst = next((name, count) for name, count in counts if count)
    return format_html(
        '<span class="bar" title="{said}">'
        '<svg viewBox="0 0 {end} 8" preserveAspectRatio="none" role="img"'
        ' aria-label="{said}">{bars}</svg>{word}</span>',
        said=said,
        end=round(begin),
        bars=bars,
        word=severity(worst[0], worst[1]),
    )


@register.filter
def ago(value: datetime | None) -> SafeString | str:
    """How long ago, with the exact time on hover and for machines."""
    if value is None:
        return "—"
    exact = value.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        exact.isoformat(timespec="seconds"),
        exact.strftime("%Y-%m-%d %H:%M:%S UTC"),
        relative(value, timezone.now()),
    )


def relative(value: datetime, now: datetime) -> str:
    """Return "3 min ago", "in 2 d"; a date for what is longer than a month away."""
    seconds = (now - value).total_seconds()
    distance = abs(seconds)
    if distance < 5:
        return "just now"
    for limit, unit, name in STEPS:
        if distance < limit:
            said = f"{int(distance // unit)} {name}"
            return f"{said} ago" if seconds > 0 else f"in {said}"
    return value.strftime("%-d %b %Y")


@register.filter
def exact(value: datetime | None) -> str:
    """The moment itself, for records."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if value else "—"


@register.simple_tag
def run_state(status: str) -> SafeString:
    """How a scanner's turn ended, with a shape and a word."""
    known = {"completed": "pass", "skipped": "cancelled", "running": "running"}
    kind = known.get(status, "inconclusive")
    return format_html(
        '<span class="verdict verdict-{}">{}{}</span>',
        kind,
        icon(kind),
        status.replace("_", " ").capitalize(),
    )


@register.filter
def duration(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "—"
    seconds = milliseconds / 1000
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@register.filter
def visible(text: object) -> SafeString:
    """Escape a text and show the characters that nobody would see."""
    pieces = []
    for hidden, run in groupby(str(text), is_hidden):
        if hidden:
            pieces += [_mark(char) for char in run]
        else:
            pieces.append(conditional_escape("".join(run)))
    return mark_safe("".join(pieces))  # noqa: S308 - each piece is escaped


def _mark(char: str) -> SafeString:
    code = f"U+{ord(char):04X}"
    name = unicodedata.name(char, "control character").lower()
    return format_html(
        '<span class="hidden-char" title="{} {}">{}</span>', code, name, code
    )


def is_hidden(char: str) -> bool:
    if char in _SEEN_CONTROLS or " " <= char <= "~":
        return False
    code = ord(char)
    return (
        unicodedata.category(char) in {"Cc", "Cf", "Co", "Cs"}
        or char in _BLANK_LETTERS
        or any(code in selectors for selectors in _SELECTORS)
    )


@register.filter
def as_json(value: object) -> str:
    """Return a value indented, with other scripts as they are."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


@register.filter
def words(name: str) -> str:
    """`code_execution` as people write it."""
    return name.replace("_", " ")
