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
# Of the opcodes of a pickle (Python's pickletools), those that call and that import.
CALLING = frozenset({"REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX"})
LOADING = frozenset({"GLOBAL", "STACK_GLOBAL"})
STEP = ("byte", "opcode", "what it does")
IN_STEPS = frozenset({"opcode", "global position", "import reference"})
# Beyond these a value is a text, and a list of records no table.
SHORT, MOST_COLUMNS = 60, 5
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
def spots(finding: Row) -> list[str]:
    """Return where in its file or document a finding is, in words."""
    location = finding["location"]
    return [
        f"{name.replace('_', ' ')} {location[name]}"
        for name in ("line", "byte_offset")
        if location.get(name) is not None
    ]


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
    told = dict(_told(finding["evidence"]))
    drawn = [(name, *_drawn(value)) for name, value in told.items()]
    if not (steps := _opcodes(told, finding["location"]["byte_offset"])):
        return drawn
    others = [each for each in drawn if each[0] not in IN_STEPS]
    return [("opcodes", "rows", (STEP, steps)), *others]


def _opcodes(told: Mapping[str, Any], offset: Any) -> list[list[Any]]:
    """Return what a pickle does where something was found, byte by byte."""
    opcode, reference = told.get("opcode"), told.get("import reference")
    if not (opcode and reference) or offset is None:
        return []
    loaded = told.get("global position")
    does = "calls" if opcode in CALLING else "loads" if opcode in LOADING else "uses"
    steps = [[offset, opcode, f"{does} {reference}"]]
    if isinstance(loaded, int) and loaded != offset:
        steps.insert(0, [loaded, "", f"loads {reference}"])
    return steps


def _told(evidence: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(evidence, Mapping):
        for name, value in evidence.items():
            if name not in SHOWN_ELSEWHERE and value not in (None, "", [], {}):
                yield str(name).replace("_", " "), value
    elif evidence:
        yield "seen", evidence


def _drawn(value: Any) -> tuple[str, Any]:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        is_short = all(len(each) <= SHORT and "\n" not in each for each in value)
        return ("words" if is_short else "texts"), value
    if columns := _columns(value):
        return "rows", (columns, [[row.get(name) for name in columns] for row in value])
    if isinstance(value, list | Mapping):
        return "json", value
    is_long = isinstance(value, str) and (len(value) > 80 or "\n" in value)
    return ("texts", [value]) if is_long else ("text", value)


def _columns(value: Any) -> list[str]:
    """Return the names that a list of plain records has; none where it is no such."""
    if not (isinstance(value, list) and all(isinstance(row, Mapping) for row in value)):
        return []
    names = list(dict.fromkeys(name for row in value for name in row))
    values = (each for row in value for each in row.values())
    is_plain = all(
        each is None or isinstance(each, str | int | float) for each in values
    )
    return names if is_plain and len(names) <= MOST_COLUMNS else []


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
