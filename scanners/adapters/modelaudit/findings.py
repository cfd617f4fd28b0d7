"""What modelaudit found, one finding per weakness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scanners.adapters.modelaudit.document import DOCUMENTATION, Entry, entries_of
from scanners.adapters.modelaudit.places import Place, Places
from scanners.catalogue import canonical, lookup
from scanners.contract import Category, Location, ReportedFinding, Rule, Severity
from scanners.wording import clean

SCANNER = "modelaudit"
SEVERITIES = {
    "critical": Severity.CRITICAL,
    "warning": Severity.MEDIUM,
    "info": Severity.INFO,
    "debug": Severity.INFO,
}
# The tool gives these codes to whatever fits nowhere else ("Model uses Python
# operator" is S902), so here its own word counts as well.
GENERIC = frozenset({"S901", "S902", "S903", "S904", "S905", "S907", "S999"})
NETWORK = "S3"
MENTIONS = frozenset({"url_detected", "cloud_storage_url", "domain_name", "domain"})
SILENT_TYPES = frozenset({"license_warning", "license_check"})
EVIDENCE = (
    *("opcode", "import_reference", "cve_id", "op_type", "domain", "pattern", "entry"),
    *("pattern_type", "function", "library", "tensor", "layer_name", "exception"),
    *("exception_type", "url", "resolved_path", "occurrence_count", "invoked"),
    # Where a pickle loads what the opcode calls.
    "global_position",
)
# What tells two findings apart that are about no import, best first: of what is in the
# file. The tool's own codes come next, and its words only where there is nothing else.
IDENTIFYING = (
    *("url", "domain", "cve_id", "library", "function", "layer_name", "resolved_path"),
    *("match_text", "pattern_type"),
)
CODES = ("pattern", "failure_reason", "reason")


def findings_of(document: Mapping[str, Any], places: Places) -> list[ReportedFinding]:
    """One finding per rule, place and reference: a list of a million equal calls is
    one weakness.
    """
    entries = [e for e in entries_of(document, "issues") if _is_finding(e)]
    calls = (e for e in entries if "opcode" in e.details or "op_type" in e.details)
    called = {(places.one(call.location).key, call.reference) for call in calls}
    grouped: dict[tuple[str, ...], ReportedFinding] = {}
    counts: dict[tuple[str, ...], int] = {}
    for entry in entries:
        place = places.one(entry.location)
        if _repeats(entry, place, called):
            continue
        finding = _finding(entry, place, places)
        spot = (place.path, place.member or "")
        key = (finding.rule.rule, *spot, finding.element, finding.evidence_key)
        first = grouped.setdefault(key, finding)
        if first.rule.severity < finding.rule.severity:
            grouped[key] = replace(first, rule=finding.rule)
        counts[key] = counts.get(key, 0) + 1
    return [
        replace(f, evidence={**f.evidence, "occurrences": counts[key]})
        if counts[key] > 1
        else f
        for key, f in grouped.items()
    ]


def _is_finding(entry: Entry) -> bool:
    """Not: licences, what coverage says, a mere mention of an address in a text, and
    sums over other entries.
    """
    is_info = SEVERITIES.get(entry.severity) is Severity.INFO
    if entry.type in SILENT_TYPES or entry.note or "total_detections" in entry.details:
        return False
    return not (is_info and (entry.is_gap or entry.details.get("type") in MENTIONS))


def _repeats(entry: Entry, place: Place, called: set[tuple[str, str]]) -> bool:
    """Whether another entry says the same of the same import, and where it is."""
    if "opcode" in entry.details or "op_type" in entry.details:
        return False
    if entry.reference:
        return (place.key, entry.reference) in called
    if entry.details.get("type") == "python_operator":
        return any(key == place.key for key, _ in called)
    imports = (entry.details.get("import_analysis") or {}).get("found_malicious") or ()
    return bool(imports) and all((place.key, str(name)) in called for name in imports)


def _finding(entry: Entry, place: Place, places: Places) -> ReportedFinding:
    message = clean(places.strip(entry.message), 300)
    opcode = str(entry.details.get("opcode") or "")
    kind = str(entry.details.get("type") or entry.type)
    subject = entry.reference or kind
    return ReportedFinding(
        rule=_rule(entry, message),
        title=message or "Unnamed finding",
        description=clean(places.strip(entry.why)),
        location=Location(place.path, place.member, byte_offset=place.byte_offset),
        evidence=_evidence(entry, places),
        element=clean(f"{opcode} {subject}".strip(), 300),
        evidence_key=clean(entry.reference or _known_by(entry, message, places), 300),
    )


def _known_by(entry: Entry, message: str, places: Places) -> str:
    """Return what makes this finding another than the next of its rule and place."""
    values = [entry.details.get(name) for name in IDENTIFYING]
    said = [places.strip(value) for value in values if isinstance(value, str) and value]
    if said:
        return " ".join(said)
    codes = (entry.details.get(name) for name in CODES)
    if code := next((c for c in codes if isinstance(c, str) and c), ""):
        return code
    # Numbers in its words are sizes and counts.
    words = "".join("#" if char.isdigit() else char for char in message.lower())
    return " ".join(words.split())


def _rule(entry: Entry, message: str) -> Rule:
    severity = SEVERITIES.get(entry.severity, Severity.HIGH)
    rule = lookup(
        SCANNER, _code(entry, severity), tool_severity=severity, title=message
    )
    code = rule.rule.partition(":")[2]
    if entry.type == DOCUMENTATION and code.startswith(NETWORK):
        # A README that shows how to fetch a picture runs nowhere by itself.
        capped = min(rule.severity, Severity.MEDIUM)
        return replace(rule, severity=capped, category=Category.NETWORK_ACCESS)
    if severity is Severity.INFO and rule.is_catalogued:
        # It says "this format can hold code" under the code of "this is code", and a
        # missing tensor under that of a private key.
        is_malformed = rule.category is Category.MALFORMED_FILE
        category = rule.category if is_malformed else Category.QUALITY
        return replace(rule, severity=Severity.INFO, category=category)
    if entry.is_too_deep:
        # Nested deeper than it unpacks: nobody looked, which coverage says. No bomb.
        return replace(rule, severity=min(rule.severity, Severity.MEDIUM))
    if entry.is_gap and code in GENERIC:
        # "I cannot read this" is what a README called .onnx gets, too: a gap.
        return rule
    if code in GENERIC or (code.endswith("_CHECK") and code != "TEXT_CHECK"):
        # A broken file is none of the worst things; a word of any other check may be.
        is_broken = code in GENERIC or rule.category is Category.MALFORMED_FILE
        floor = min(severity, Severity.HIGH) if is_broken else severity
        return replace(rule, severity=max(rule.severity, floor))
    return rule


def _code(entry: Entry, severity: Severity) -> str:
    if entry.details.get("op_type") and "Python operator" in entry.message:
        return "ONNX_PYTHON_OPERATOR"
    if entry.details.get("type") == "python_operator":
        return "ONNX_PYTHON_OPERATOR"
    if severity is Severity.INFO and entry.details.get("cve_id"):
        return str(entry.details["cve_id"])
    if not entry.type and "Path traversal" in entry.message:
        return "OUTSIDE_LINK"
    return canonical(entry.code or entry.type or "unnamed")


def _evidence(entry: Entry, places: Places) -> dict[str, Any]:
    evidence: dict[str, Any] = {}
    for name in EVIDENCE:
        value = entry.details.get(name)
        if isinstance(value, str) and value:
            evidence[name] = clean(places.strip(value))
        elif isinstance(value, bool | int):
            evidence[name] = value
    return evidence
