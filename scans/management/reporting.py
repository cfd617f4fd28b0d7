"""A finished scan as text for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from apikeys.management.tables import moment
from scans.management.doors import Document

MOST_FINDINGS = 200
# Worst first: the verdict of several scans is the worst of them.
HEADINGS = {
    "fail": "FAIL",
    "inconclusive": "INCONCLUSIVE",
    "pass": "PASS",
}
MARKS = {"fail": "❌", "inconclusive": "⚠️ ", "pass": "✅"}


def plain(text: object) -> str:
    """Return one line without control characters.

    Names and titles come from what is scanned: none may move a terminal's cursor or
    turn the direction of the writing.
    """
    return "".join(
        character
        if character.isprintable()
        else " "
        if character in "\n\t"
        else character.encode("unicode_escape").decode()
        for character in str(text).encode("utf-8", "backslashreplace").decode()
    ).strip()


def moment_of(text: str | None) -> str:
    """Return a time of the API as people read it."""
    return moment(datetime.fromisoformat(text) if text else None)


def heading_of(scan: Document) -> str:
    verdict = str(scan.get("verdict") or scan["scan_status"])
    mark = MARKS.get(verdict, "⚠️ ")
    return f"{mark} {HEADINGS.get(verdict, verdict.upper())}  {plain(scan['target'])}"


def report(scan: Document, findings: Sequence[Document]) -> str:
    """Return verdict, reasons, scanners and findings; ends with a line break."""
    lines = [heading_of(scan)]
    lines += [f"   - {plain(reason)}" for reason in scan.get("reasons") or []]
    lines.append("")
    for run in scan.get("runs") or []:
        why = f": {plain(run['error'])}" if run.get("error") else ""
        version = plain(run.get("tool_version") or "")
        lines.append(
            f"   {plain(run['scanner'])} {version}".rstrip()
            + f": {run['status']}, {run['findings_count']} findings{why}"
        )
    lines.append(f"   scan {scan['scan_id']}, policy {_policy(scan)}")
    if findings:
        lines += ["", *_table(findings)]
    return "\n".join(lines) + "\n"


def _policy(scan: Document) -> str:
    policy = scan.get("policy") or {}
    return f"{plain(policy.get('name', '?'))} v{policy.get('version', '?')}"


def _table(findings: Sequence[Document]) -> list[str]:
    rows = [("SEVERITY", "RULE", "WHERE", "WHAT")]
    rows += [
        (
            plain(finding["severity"]),
            plain(finding["rule"]),
            where(finding),
            plain(finding["title"]) + (" (waived)" if finding.get("waived") else ""),
        )
        for finding in findings[:MOST_FINDINGS]
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "   "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        + f"  {row[3]}"
        for row in rows
    ]
    if len(findings) > MOST_FINDINGS:
        left = len(findings) - MOST_FINDINGS
        lines.append(f"   ... and {left} more; --format json has them all")
    return lines


def where(finding: Document) -> str:
    """Say the place of a finding: `file:member:line`, or `server/tool`."""
    location = finding.get("location") or {}
    parts = [location.get(key) for key in ("path", "member", "line")]
    place = ":".join(str(part) for part in parts if part not in (None, ""))
    if not place:
        names = [location.get(key) for key in ("server", "tool")]
        place = "/".join(str(name) for name in names if name)
    return plain(place or "-")
