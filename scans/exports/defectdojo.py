"""DefectDojo's "Generic Findings Import" as JSON.

Its parser refuses a whole file for one field that it does not know, so only fields of
its list are here: title, severity and description are those it wants.
"""

from __future__ import annotations

from typing import Any

from scans.exports.json_text import Pieces, dump, object_with, values
from scans.exports.places import file_of, where
from scans.exports.reading import ScanReport, waiver_note
from scans.exports.shapes import Row

TITLE = 511  # what its column holds
TYPE = "SentraScan"


def render(report: ScanReport) -> Pieces:
    scan = report.scan
    policy = scan["policy"]
    said = [f"Verdict: {scan['verdict'] or scan['scan_status']}", *scan["reasons"]]
    head = {
        "name": f"SentraScan of {scan['target']}"[:TITLE],
        "type": TYPE,
        "description": "\n".join(
            [*said, f"Policy: {policy['name']} v{policy['version']}"]
        ),
        "static_tool": True,
        "dynamic_tool": False,
    }
    found = (_finding(report, each) for each in report.findings())
    return object_with(head, "findings", values(found))


def _finding(report: ScanReport, finding: Row) -> Row:
    place = finding["location"]
    entry: dict[str, Any] = {
        "title": finding["title"][:TITLE] or finding["rule"],
        "severity": finding["severity"].capitalize(),
        "description": _description(finding),
        "date": report.scan["created_at"].date().isoformat(),
        "mitigation": finding["remediation"],
        "file_path": file_of(report, finding),
        "unique_id_from_tool": finding["fingerprint"],
        "vuln_id_from_tool": finding["rule"],
        "component_name": report.scan["target"][:TITLE],
        "static_finding": True,
        "dynamic_finding": False,
        "verified": False,
        # What somebody has accepted is not open, and stays in the list.
        "active": not finding["waived"],
        "risk_accepted": finding["waived"],
        "tags": [finding["scanner"], finding["category"]],
    }
    if place["line"]:
        entry["line"] = place["line"]
    numbers = [int(each.removeprefix("CWE-")) for each in finding["cwe"]]
    if numbers:
        entry["cwe"] = numbers[0]
    code = finding["rule"].partition(":")[2]
    if code.startswith("CVE-"):
        entry["vulnerability_ids"] = [code]
    return entry


def _description(finding: Row) -> str:
    lines = [finding["description"] or finding["title"]]
    if place := where(finding):
        lines.append(f"Where: {place}")
    lists = ("cwe", "owasp_llm", "owasp_mcp", "atlas")
    if classes := [each for name in lists for each in finding[name]]:
        lines.append(f"Classes: {', '.join(classes)}")
    if finding["evidence"]:
        lines.append(f"Evidence: {dump(finding['evidence']).decode()}")
    if finding["waived"]:
        lines.append(f"Waived: {waiver_note(finding)}")
    return "\n".join(lines)
