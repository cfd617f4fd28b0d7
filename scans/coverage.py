"""What the scanners of one scan looked at, taken together. Pure.

An element is covered when some scanner examined it or knew it as inert, and none that
claims its format failed on it. Everything else is a gap, in words for people.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scanners.contract import Category, Coverage, Report, ReportedFinding, Skipped
from scanners.contract import Target as ScanTarget
from scans.choices import RunStatus

SKIPPED_STORED = 1_000  # a run's list of what it left out; the count is never cut
LEFT_STORED = 1_000  # elements with findings of others


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one scanner's turn ended; `report` exactly when it completed.

    `reused_from` is the scan that really looked, where that was another; its report
    has been redacted. `key` is what the result may be stored under, "" if it may not.
    """

    scanner: str
    status: RunStatus
    report: Report | None = None
    reason: str = ""
    tool_version: str = ""
    lock_digest: str = ""
    sandbox: str = ""
    duration_ms: int = 0
    reused_from: uuid.UUID | None = None
    key: str = ""

    @property
    def coverage(self) -> Coverage:
        return self.report.coverage if self.report else Coverage()

    @property
    def findings(self) -> tuple[ReportedFinding, ...]:
        return self.report.findings if self.report else ()


def settle(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Turn complaints about files that another scanner parsed whole into notes.

    A SentencePiece file that one tool takes for a broken XGBoost model is no broken
    file once it has been read as SentencePiece to its last byte.
    """
    return [_settled(outcome, _identified(outcome, outcomes)) for outcome in outcomes]


def _identified(outcome: Outcome, outcomes: Sequence[Outcome]) -> dict[str, str]:
    """Return path -> "format (scanner)" of what others than `outcome` identified."""
    return {
        path: f"{kind}, read whole by {other.scanner}"
        for other in outcomes
        if other.scanner != outcome.scanner
        for path, kind in other.coverage.identified.items()
    }


def _settled(outcome: Outcome, identified: Mapping[str, str]) -> Outcome:
    if outcome.report is None or not identified:
        return outcome
    kept, notes = [], []
    for finding in outcome.report.findings:
        kind = identified.get(finding.location.path)
        if kind and finding.rule.category == Category.MALFORMED_FILE:
            notes.append(f"{finding.location.path} is {kind}: {finding.title}")
        else:
            kept.append(finding)
    failed = []
    for skip in outcome.coverage.failed:
        if kind := identified.get(skip.path):
            notes.append(f"{skip.path} is {kind}: {skip.reason}")
        else:
            failed.append(skip)
    coverage = replace(
        outcome.coverage,
        failed=tuple(failed),
        notes=(*outcome.coverage.notes, *dict.fromkeys(notes)),
    )
    report = replace(outcome.report, findings=tuple(kept), coverage=coverage)
    return replace(outcome, report=report)


def unexamined(target: ScanTarget, outcomes: Sequence[Outcome]) -> list[Skipped]:
    """Return what nobody examined, each with a reason."""
    covered: set[str] = set()
    failed: dict[str, str] = {}
    for outcome in outcomes:
        covered |= outcome.coverage.scanned | outcome.coverage.inert
        for skip in outcome.coverage.failed:
            failed.setdefault(skip.path, f"{outcome.scanner}: {skip.reason}")
    gaps = {gap.path: gap.reason for gap in target.gaps}
    for element in target.elements:
        if element.path in gaps:
            continue
        if element.path in failed:
            gaps[element.path] = failed[element.path]
        elif element.path not in covered:
            gaps[element.path] = "no scanner opens this format"
    for path, reason in failed.items():
        gaps.setdefault(path, reason)
    return [Skipped(path, reason) for path, reason in gaps.items()]


def gap_sentences(target: ScanTarget, outcomes: Sequence[Outcome]) -> list[str]:
    """Return every reason why this scan cannot be called complete."""
    sentences = []
    for outcome in outcomes:
        if outcome.status == RunStatus.SKIPPED:
            sentences.append(f"{outcome.scanner} did not run: {outcome.reason}")
        elif outcome.status != RunStatus.COMPLETED:
            sentences.append(f"{outcome.scanner} gave no answer: {outcome.reason}")
    if not target.elements and not target.gaps:
        sentences.append("There is nothing to examine in this target")
    sentences += [
        f"{skip.path} was not examined: {skip.reason}"
        for skip in unexamined(target, outcomes)
    ]
    return sentences


def found_in(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the elements with findings, that with the gravest first."""
    worst: dict[str, int] = {}
    for outcome in outcomes:
        for finding in outcome.findings:
            path = finding.location.path
            worst[path] = max(finding.rule.severity, worst.get(path, 0))
    return sorted(worst, key=lambda path: (-worst[path], path))


def document(
    target: ScanTarget,
    outcome: Outcome,
    gaps: Sequence[Skipped],
    found: Sequence[str] = (),
) -> dict[str, Any]:
    """Return a run's coverage in the shape that the API answers (CONTRACT, Scan).

    And `left`, for the console alone: which of `found`, the elements where scanners
    found something, this one left to others.
    """
    seen = outcome.coverage
    known = {element.path for element in target.elements}
    own = {skip.path: skip.reason for skip in seen.failed}
    looked_at = seen.scanned | seen.inert
    if outcome.report is not None:
        own |= {gap.path: gap.reason for gap in gaps if gap.path not in own}
    return {
        "complete": outcome.report is not None and not own and bool(known),
        "files_total": len(known),
        "files_scanned": len(seen.scanned & known),
        "files_inert": len(seen.inert & known),
        "bytes_scanned": seen.bytes_scanned,
        "skipped": [
            {"path": path, "reason": reason}
            for path, reason in list(own.items())[:SKIPPED_STORED]
        ],
        "notes": list(seen.notes),
        "left": [p for p in found if p in known and p not in looked_at][:LEFT_STORED],
    }
