"""CSV (RFC 4180) of all findings, one header row, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from scans.exports.json_text import Pieces, dump
from scans.exports.reading import ScanReport, waiver_note
from scans.exports.shapes import Row

PLACES = ("path", "member", "line", "byte_offset", "server", "tool")
LISTS = ("cwe", "owasp_llm", "owasp_mcp", "atlas")
COLUMNS = (
    *("finding_id", "scan_id", "target", "scanner", "rule", "severity", "category"),
    *("title", "description", *PLACES, "evidence", "remediation", *LISTS),
    *("fingerprint", "is_new", "waived", "waiver_id", "waiver", "breach"),
    "created_at",
)
# A cell that begins so is a formula, or becomes one, for some spreadsheet (OWASP, CSV
# Injection); the wide forms are those of East Asian input.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - meant


def render(report: ScanReport) -> Pieces:
    yield _line(COLUMNS)
    target = report.scan["target"]
    for finding in report.findings():
        yield _line(_cells(finding | {"target": target}))


def _cells(finding: Row) -> Iterator[str]:
    flat: Row = finding | finding["location"] | {"waiver": waiver_note(finding)}
    for name in COLUMNS:
        yield _guarded(_cell(flat[name]))


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list():
            return " ".join(map(str, value))
        case dict():
            return dump(value).decode()
        case datetime():
            return dump(value).decode().strip('"')
    return str(value)


def _guarded(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def _line(cells: Iterator[str] | tuple[str, ...]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().encode()
