"""JUnit XML: one test case for each scanner, so that a CI server shows what failed.

`<failure>` breaks the gate, `<error>` was not examined, `<skipped>` is waived. A test
suite without failure and error is exactly one whose scan passed its policy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from scans.choices import RunStatus, Verdict
from scans.exports.json_text import Pieces
from scans.exports.places import where
from scans.exports.reading import ScanReport, waiver_note
from scans.exports.shapes import Row
from scans.exports.xml_text import attributes, content

LINES = 100  # of one case; the count in its message is never cut


@dataclass(slots=True)
class Case:
    """One scanner's turn: how it came out, and lines that say why."""

    name: str
    outcome: str = ""  # failure, error, skipped or "" for passed
    message: str = ""
    lines: list[str] = field(default_factory=list)
    seconds: float = 0.0


def render(report: ScanReport) -> Pieces:
    cases = [_case(report, run) for run in report.runs]
    if (gate := _gate(report, cases)) is not None:
        cases.append(gate)
    yield "".join(_document(report.scan, cases)).encode()


def _case(report: ScanReport, run: Row) -> Case:
    scan, name = report.scan, run["scanner"]
    case = Case(name, seconds=(run.get("duration_ms") or 0) / 1000)
    breaking, waived = _counted(report, name, case)
    if breaking:
        case.outcome = "failure"
        case.message = f"{_findings(breaking)} the policy {scan['policy']['name']}"
    elif scan["verdict"] != Verdict.PASS and (gaps := _gaps(run)):
        case.outcome, case.lines = "error", gaps[:LINES]
        case.message = f"Not examined in full: {gaps[0]}"
    elif waived:
        case.outcome = "skipped"
        case.message = f"{waived} waived finding{'s' * (waived > 1)}"
    return case


def _counted(report: ScanReport, scanner: str, case: Case) -> tuple[int, int]:
    """Count breaking and waived findings; put those worth a line into the case."""
    counts: Counter[str] = Counter()
    for finding in report.findings(scanner):
        kind = "waived" if finding["waived"] else "breaks" if finding["breach"] else ""
        counts[kind] += 1
        if kind and len(case.lines) < LINES:
            case.lines.append(_line(finding))
    return counts["breaks"], counts["waived"]


def _line(finding: Row) -> str:
    place = where(finding)
    note = waiver_note(finding)
    said = f"[{finding['severity']}] {finding['rule']} {finding['title']}"
    return said + (f" in {place}" if place else "") + (f" ({note})" if note else "")


def _findings(count: int) -> str:
    return "1 finding breaks" if count == 1 else f"{count} findings break"


def _gaps(run: Row) -> list[str]:
    if run.get("status") != RunStatus.COMPLETED:
        return [run.get("error") or "the scanner gave no answer"]
    return [f"{skip['path']}: {skip['reason']}" for skip in run["coverage"]["skipped"]]


def _gate(report: ScanReport, cases: list[Case]) -> Case | None:
    """Return a case for a verdict that no scanner's case accounts for, else None."""
    scan = report.scan
    outcomes = {case.outcome for case in cases}
    wanted = "failure" if scan["verdict"] == Verdict.FAIL else "error"
    if scan["verdict"] == Verdict.PASS or wanted in outcomes:
        return None
    verdict = scan["verdict"] or scan["scan_status"]
    reasons = list(scan["reasons"])
    why = reasons[0] if reasons else "no scanner looked at this target"
    return Case("gate", wanted, f"{verdict}: {why}", reasons)


def _document(scan: Row, cases: list[Case]) -> Iterator[str]:
    outcomes = Counter(case.outcome for case in cases)
    counts: dict[str, object] = {
        "tests": len(cases),
        "failures": outcomes["failure"],
        "errors": outcomes["error"],
        "skipped": outcomes["skipped"],
        "time": f"{(scan['duration_ms'] or 0) / 1000:.3f}",
    }
    begin = scan["started_at"] or scan["created_at"]
    suite: dict[str, object] = {
        "name": scan["target"],
        **counts,
        "timestamp": begin.strftime("%Y-%m-%dT%H:%M:%S"),
        "hostname": "sentrascan",
    }
    counts.pop("skipped")  # the outer element has none in the schema CI servers use
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f"<testsuites{attributes({'name': 'SentraScan', **counts})}>\n"
    yield f"<testsuite{attributes(suite)}>\n<properties>\n"
    for name, value in _properties(scan).items():
        yield f"<property{attributes({'name': name, 'value': value})}/>\n"
    yield "</properties>\n"
    for case in cases:
        yield from _test_case(scan, case)
    yield "</testsuite>\n</testsuites>\n"


def _properties(scan: Row) -> dict[str, object]:
    policy = scan["policy"]
    return {
        "scan_id": scan["scan_id"],
        "scan_type": scan["scan_type"],
        "verdict": scan["verdict"] or scan["scan_status"],
        "policy": f"{policy['name']} v{policy['version']}",
        "digest": scan["digest"] or "",
        "total_findings": scan["total_findings"],
    } | {
        f"coverage.{run['scanner']}": _coverage(run["coverage"]) for run in scan["runs"]
    }


def _coverage(seen: Row) -> str:
    whole = "complete" if seen["complete"] else "incomplete"
    examined = seen["files_scanned"] + seen["files_inert"]
    return f"{whole}, {examined} of {seen['files_total']} elements"


def _test_case(scan: Row, case: Case) -> Iterator[str]:
    head = {
        "name": case.name,
        "classname": scan["target"],
        "time": f"{case.seconds:.3f}",
    }
    if not case.outcome:
        yield f"<testcase{attributes(head)}/>\n"
        return
    said: dict[str, object] = {"message": case.message}
    if case.outcome != "skipped":
        said["type"] = scan["verdict"] or scan["scan_status"]
    text = content("\n".join(case.lines))
    yield f"<testcase{attributes(head)}>"
    yield f"<{case.outcome}{attributes(said)}>{text}</{case.outcome}></testcase>\n"
