"""Small signs that several pages draw: the state of a thing, a part of a long id."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django import template
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html
from django.utils.safestring import SafeString

from scans.console.tags import ago, as_json, icon, verdict, visible

register = template.Library()

# A state's colour, by the verdict that has it, and its shape.
STATES = {
    "active": ("pass", "pass"),
    "available": ("pass", "pass"),
    "in force": ("pass", "waiver"),
    "new": ("new", "plus"),
    "grace": ("inconclusive", "queued"),
    "proposed": ("inconclusive", "queued"),
    "ends soon": ("inconclusive", "queued"),
    "stale": ("inconclusive", "warning"),
    "waived": ("over", "waiver"),
    "open": ("open", "finding"),
    "back": ("fail", "again"),
    "unconfirmed": ("inconclusive", "inconclusive"),
    "resolved": ("pass", "pass"),
    "untried": ("inconclusive", "inconclusive"),
    "missing": ("fail", "fail"),
    "broken": ("fail", "fail"),
}
OTHER = ("over", "cancelled")
SHORT = 12
LONG_ID = re.compile(
    r"(v\d+:|sha256:)?[0-9a-f]{64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+\d\d:\d\d)$")


@register.simple_tag
def state(name: str) -> SafeString:
    """Draw a state as a word with a shape; what is over is grey."""
    colour, shape = STATES.get(name, OTHER)
    return format_html(
        '<span class="verdict verdict-{}">{}{}</span>', colour, icon(shape), name
    )


@register.simple_tag
def verdict_of(name: str) -> SafeString:
    """Draw a verdict that stands alone, without its scan."""
    return verdict({"verdict": name, "scan_status": ""})


@register.simple_tag
def step(row: Mapping[str, Any]) -> SafeString:
    """Draw one scan in the history of its target: a shape, its words on hover."""
    name = row["verdict"]
    told = [f"{name}, {row['created_at']:%Y-%m-%d %H:%M} UTC"]
    told += [
        f"{row[f'{change}_findings']} {change}"
        for change in ("new", "resolved", "reopened")
        if row[f"{change}_findings"]
    ]
    said = ", ".join(told)
    inside = format_html('{}<span class="unseen">{}</span>', icon(name), said)
    url = reverse("console:scan", args=[row["scan_id"]])
    return format_html(
        '<a class="step step-{}" href="{}" title="{}">{}</a>', name, url, said, inside
    )


@register.filter
def short(text: object) -> SafeString:
    """The beginning of a fingerprint, digest or id, with all of it on hover."""
    whole = str(text)
    version, colon, digest = whole.rpartition(":")
    return format_html(
        '<code title="{}">{}{}{}</code>', whole, version, colon, digest[:SHORT]
    )


@register.filter
def told(value: object) -> SafeString | str:
    """Draw a value of an audit event: ids short, moments as moments."""
    if not isinstance(value, str):
        return visible(value if isinstance(value, int) else as_json(value))
    if LONG_ID.fullmatch(value):
        return short(value)
    if MOMENT.match(value) and (moment := parse_datetime(value)):
        return ago(moment)
    return visible(value)
