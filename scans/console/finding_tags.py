"""How a finding, its evidence and a difference are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from scans.console.diffs import side_by_side
from scans.console.tags import as_json
from scans.drift.changes import Nature
from scans.exports.places import where
from scans.exports.shapes import Row

register = template.Library()

# Where each list explains its entries; only ATLAS and CWE have an address for each.
CWE = "https://cwe.mitre.org/data/definitions/{}.html"
ATLAS = "https://atlas.mitre.org/techniques/{}"
OWASP_LLM = "https://genai.owasp.org/llm-top-10/"
OWASP_MCP = "https://owasp.org/www-project-mcp-top-10/"
# A drift finding's evidence is its changes, which the page shows side by side.
SHOWN_ELSEWHERE = frozenset({"changes", "omitted", "kinds", "natures", "former"})
NATURES = {
    Nature.ELEMENT: "the whole of it",
    Nature.HIDDEN_UNICODE: "hidden characters",
    Nature.SCHEMA_WIDENED: "takes more than before",
    Nature.SCHEMA_NARROWED: "takes less than before",
    Nature.SCHEMA_CHANGED: "takes something else",
    Nature.INSIDE: "inside the file",
}


@register.filter
def place(finding: Row) -> str:
    return where(finding)


@register.filter
def nature(name: str) -> str:
    """Return what a change means, in words."""
    told = {each.value: text for each, text in NATURES.items()}
    return told.get(name, name.replace("_", " "))


@register.inclusion_tag("console/parts/side_by_side.html")
def diff(before: Any, after: Any, label: str = "What changed") -> dict[str, Any]:
    """Draw two values side by side, JSON as it is written."""
    rows = side_by_side(_text(before), _text(after))
    return {"diff": rows, "before": "Before", "after": "After", "label": label}


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return as_json(value)


@register.filter
def evidence(finding: Row) -> list[tuple[str, str, Any]]:
    """Return (name, how it is drawn, value) of what a scanner saw."""
    return [(name, *_drawn(value)) for name, value in _told(finding["evidence"])]


def _told(evidence: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(evidence, Mapping):
        for name, value in evidence.items():
            if name not in SHOWN_ELSEWHERE and value not in (None, "", [], {}):
                yield str(name).replace("_", " "), value
    elif evidence:
        yield "seen", evidence


def _drawn(value: Any) -> tuple[str, Any]:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return "texts", value
    if isinstance(value, list | Mapping):
        return "json", value
    is_long = isinstance(value, str) and (len(value) > 80 or "\n" in value)
    return ("texts", [value]) if is_long else ("text", value)


@register.filter
def classes(finding: Row) -> list[SafeString]:
    """Return links to what the public lists say about this kind of weakness."""
    ids = [str(cwe) for cwe in finding["cwe"]]
    links = [(cwe, CWE.format(cwe.removeprefix("CWE-"))) for cwe in ids]
    links += [(name, OWASP_LLM) for name in finding["owasp_llm"]]
    links += [(name, OWASP_MCP) for name in finding["owasp_mcp"]]
    links += [(name, ATLAS.format(name)) for name in finding["atlas"]]
    return [_outside(str(name), url) for name, url in links]


def _outside(name: str, url: str) -> SafeString:
    return format_html(
        '<a class="chip" rel="noreferrer noopener" target="_blank" href="{}">{}'
        '<span class="unseen"> (another site)</span></a>',
        url,
        name,
    )
