"""SARIF 2.1.0 (OASIS, errata 01), within what GitHub's code scanning takes.

One run for each scanner. GitHub refuses more than 25,000 results in a run, so a longer
list goes on in a further run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from scanners.catalogue import lookup, rules_of
from scanners.contract import Rule
from scans.choices import RunStatus
from scans.exports.json_text import Pieces, object_with, values
from scans.exports.places import file_of, uri_of
from scans.exports.reading import ScanReport, waiver_note
from scans.exports.shapes import Row

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
RESULTS_OF_RUN = 25_000
TEXT_OF_RULE = 1_024
LEVELS = {"critical": "error", "high": "error", "medium": "warning"}
# GitHub's bands: above 9.0 critical, from 7.0 high, from 4.0 medium, below that low.
SCORES = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.0"}
# In a message `[text](address)` is a link and `{0}` a placeholder (3.11.5, 3.11.6).
_LINK = re.compile(r"\[(?=[^\]]*\]\()")
_PLACEHOLDER = re.compile(r"\{(\d+)\}")


def render(report: ScanReport) -> Pieces:
    log = {"$schema": SCHEMA, "version": "2.1.0"}
    return object_with(log, "runs", _runs(report))


def _runs(report: ScanReport) -> Iterator[Pieces]:
    runs = report.runs
    for run in runs:
        rules = _rules(report, run["scanner"])
        places = {rule: index for index, rule in enumerate(rules)}
        count = sum(f.count for f in report.found if f.scanner == run["scanner"])
        findings = report.findings(run["scanner"])
        for part in range(max(1, -(-count // RESULTS_OF_RUN))):
            taken = islice(findings, RESULTS_OF_RUN)
            results = (_result(report, each, places) for each in taken)
            yield object_with(
                _head(report, run, rules, part), "results", values(results)
            )
        # The walk says at its end whether it met all of them.
        for _ in findings:
            pass
    if not runs:
        # A scan that ended before any scanner began is no clean scan.
        nobody = {"scanner": "sentrascan", "error": "; ".join(report.scan["reasons"])}
        yield object_with(_head(report, nobody, {}, 0), "results", ())


def _head(report: ScanReport, run: Row, rules: dict[str, Rule], part: int) -> Row:
    scan = report.scan
    # The category under which GitHub keeps alerts is all before the last slash.
    target = f"sentrascan/{scan['scan_type']}/{scan['target']}/"
    return {
        "tool": {
            "driver": {
                "name": run["scanner"],
                "version": run.get("tool_version") or "unknown",
                "rules": [_rule(rule) for rule in rules.values()],
            }
        },
        "automationDetails": {
            "id": f"{target}part-{part + 1}/" if part else target,
            "description": {"text": f"SentraScan of {_text(scan['target'])}"},
        },
        "invocations": [_invocation(scan, run)],
        "columnKind": "unicodeCodePoints",
        "properties": {
            "scan_id": scan["scan_id"],
            "verdict": scan["verdict"] or scan["scan_status"],
            "reasons": scan["reasons"],
            "policy": scan["policy"],
            "target_digest": scan["digest"] or "",
            "coverage": {
                name: value
                for name, value in (run.get("coverage") or {}).items()
                if name not in {"skipped", "notes"}
            },
        },
    }


def _invocation(scan: Row, run: Row) -> Row:
    is_done = run.get("status") == RunStatus.COMPLETED
    invocation: Row = {"executionSuccessful": is_done}
    if scan["started_at"] and scan["finished_at"]:
        invocation["startTimeUtc"] = scan["started_at"]
        invocation["endTimeUtc"] = scan["finished_at"]
    said = list(_notifications(run))
    return invocation | {"toolExecutionNotifications": said} if said else invocation


def _notifications(run: Row) -> Iterator[Row]:
    """Yield what was not looked at: no result says it, and none is no good news."""
    if why := run.get("error"):
        yield {"level": "error", "message": {"text": _text(why)}}
    coverage = run.get("coverage") or {}
    for skipped in coverage.get("skipped", ()):
        text = f"{skipped['path']} was not examined: {skipped['reason']}"
        yield {
            "level": "error",
            "message": {"text": _text(text)},
            "locations": [_physical(uri_of(skipped["path"]), {})],
        }
    for note in coverage.get("notes", ()):
        yield {"level": "note", "message": {"text": _text(note)}}


def _rules(report: ScanReport, scanner: str) -> dict[str, Rule]:
    """Return all rules of the scanner's catalogue, and what else it found, by id."""
    rules = {rule.rule: rule for rule in rules_of(scanner).values()}
    for each in report.found:
        if each.scanner == scanner and each.rule not in rules:
            code = each.rule.partition(":")[2]
            unknown = lookup(scanner, code, tool_severity=each.worst)
            rules[each.rule] = replace(unknown, rule=each.rule)
    return rules


def _rule(rule: Rule) -> Row:
    severity = rule.severity.name.lower()
    properties: dict[str, Any] = {
        "tags": _tags(rule),
        "category": rule.category.value,
        "owasp_llm": rule.owasp_llm,
        "owasp_mcp": rule.owasp_mcp,
        "atlas": rule.atlas,
    }
    if severity in SCORES:
        properties["security-severity"] = SCORES[severity]
    help_text = rule.remediation or "See the documentation of the scanner."
    return {
        "id": rule.rule,
        "name": _name(rule.title),
        "shortDescription": {"text": _text(rule.title)[:TEXT_OF_RULE]},
        "fullDescription": {"text": f"{_text(rule.title)}."[:TEXT_OF_RULE]},
        "help": {"text": help_text, "markdown": help_text},
        "defaultConfiguration": {"level": LEVELS.get(severity, "note")},
        "properties": properties,
    }


def _tags(rule: Rule) -> list[str]:
    # GitHub shows the weakness for tags of this form, and takes twenty tags at most.
    cwe = [f"external/cwe/{each.lower()}" for each in rule.cwe]
    owasp = [f"OWASP-{each}" for each in (*rule.owasp_llm, *rule.owasp_mcp)]
    return ["security", *cwe, *owasp][:20]


def _name(title: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", title)
    return "".join(word[0].upper() + word[1:] for word in words) or "Rule"


def _result(report: ScanReport, finding: Row, places: dict[str, int]) -> Row:
    said = [finding["title"], finding["description"]]
    return {
        "ruleId": finding["rule"],
        "ruleIndex": places[finding["rule"]],
        "level": LEVELS.get(finding["severity"], "note"),
        "message": {"text": _text(". ".join(filter(None, said)))},
        "locations": [_location(report, finding)],
        "partialFingerprints": {
            "primaryLocationLineHash": f"{finding['fingerprint'].partition(':')[2]}:1",
            "sentrascan/v1": finding["fingerprint"],
        },
        # Empty, not absent: that one is not suppressed is known (3.27.23).
        "suppressions": [_suppression(finding)] if finding["waived"] else [],
        "properties": {
            "finding_id": finding["finding_id"],
            "severity": finding["severity"],
            "category": finding["category"],
            "is_new": finding["is_new"],
            "breaks_gate": bool(finding["breach"]),
            "evidence": finding["evidence"],
        },
    }


def _location(report: ScanReport, finding: Row) -> Row:
    place = finding["location"]
    region: Row = {"startLine": place["line"] or 1}
    if place["byte_offset"] is not None:
        region["byteOffset"] = place["byte_offset"]
    location = _physical(uri_of(file_of(report, finding)), region)
    if logical := list(_logical(place)):
        location["logicalLocations"] = logical
    return location


def _physical(uri: str, region: Row) -> Row:
    physical: Row = {"artifactLocation": {"uri": uri}}
    return {"physicalLocation": physical | ({"region": region} if region else {})}


def _logical(place: Row) -> Iterator[Row]:
    if place["server"] or place["tool"]:
        names = [name for name in (place["server"], place["tool"]) if name]
        yield {
            "name": names[-1],
            "fullyQualifiedName": "/".join(names),
            "kind": "function" if place["tool"] else "module",
        }
    elif place["member"]:
        whole = f"{place['path']}!{place['member']}"
        yield {"name": place["member"], "fullyQualifiedName": whole, "kind": "member"}


def _suppression(finding: Row) -> Row:
    return {
        "kind": "external",
        "status": "accepted",
        "justification": waiver_note(finding),
    }


def _text(text: str) -> str:
    """Return a message that says what it says: links and placeholders lose force."""
    return _PLACEHOLDER.sub(r"{{\1}}", _LINK.sub(r"\\[", text)) or "-"
