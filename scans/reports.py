"""A scanner's report as text and back, without any loss. Pure.

ASCII JSON: what tools quote comes from attackers, and no database takes lone surrogates
or NUL in a text of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from scanners.contract import (
    Category,
    Coverage,
    Location,
    Report,
    ReportedFinding,
    Rule,
    Severity,
    Skipped,
)

FORMAT = 2
_LISTS = ("cwe", "owasp_llm", "owasp_mcp", "atlas")


def dump(report: Report) -> str:
    """Return `report` as text; raise `TypeError` for evidence that is no JSON."""
    values = {"format": FORMAT, **asdict(report)}
    return json.dumps(values, separators=(",", ":"), default=_plain)


def load(text: str) -> Report:
    """Return what `dump` was given; raise `ValueError` for any other text."""
    try:
        values = json.loads(text)
        if values["format"] != FORMAT:
            raise ValueError("written in another format")
        findings = tuple(_finding(value) for value in values["findings"])
        return Report(findings, _coverage(values["coverage"]), dict(values["inside"]))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a stored report: {error!r}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset | set):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def _finding(value: dict[str, Any]) -> ReportedFinding:
    location = Location(**value.pop("location"))
    return ReportedFinding(_rule(value.pop("rule")), location=location, **value)


def _rule(value: dict[str, Any]) -> Rule:
    lists = {name: tuple(value[name]) for name in _LISTS}
    ranked = {"severity": Severity(value["severity"])}
    return Rule(**value | lists | ranked | {"category": Category(value["category"])})


def _coverage(value: dict[str, Any]) -> Coverage:
    return Coverage(
        scanned=frozenset(value.pop("scanned")),
        inert=frozenset(value.pop("inert")),
        failed=tuple(Skipped(**skip) for skip in value.pop("failed")),
        notes=tuple(value.pop("notes")),
        **value,
    )
