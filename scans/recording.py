"""From what the scanners said to rows: findings, runs, verdict, all or nothing."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from django.db import transaction

from scanners.contract import ReportedFinding, Severity, Target
from scanners.redaction import mask, redact, secrets_of
from scans import (
    comparing,
    coverage,
    histories,
    measures,
    recurrence,
    reports,
    sealing,
    snapshots,
)
from scans.choices import RunStatus, ScanStatus, Verdict
from scans.comparing import Approved
from scans.coverage import Outcome
from scans.drift import Comparison
from scans.fingerprints import fingerprints
from scans.judging import Facts, judge
from scans.models import (
    Baseline,
    Finding,
    Lease,
    ResultClaim,
    Scan,
    ScanDetail,
    ScanDrift,
    ScannerRun,
    ScanSnapshot,
    ScanWaiver,
    StoredResult,
)
from scans.recurrence import Look
from scans.sealing import Purpose
from scans.snapshots import Seal, Snapshot
from scans.storable import json_value, text

logger = logging.getLogger(__name__)

MAX_FINDINGS = 50_000
MAX_STORED_CHARACTERS = 4 << 20  # of a report that is kept to be used again
TEXT_LIMITS = {"title": 500, "rule": 200}


@dataclass(frozen=True, slots=True)
class Known:
    """What was there before: the active baseline, and the fingerprints people know."""

    baseline: Baseline | None
    fingerprints: frozenset[str]

    @property
    def approved(self) -> frozenset[str] | None:
        return self.fingerprints if self.baseline else None

    @property
    def agreed(self) -> Approved | None:
        """The baseline as a comparison needs it."""
        if self.baseline is None:
            return None
        return Approved(self.baseline.name, self.baseline.snapshot.get("document"))


def record(
    lease: Lease,
    scan: Scan,
    target: Target,
    outcomes: Sequence[Outcome],
    *,
    rules: str = "",
) -> None:
    """Judge the scan and write everything in one short transaction."""
    secrets = secrets_of(target.document) if target.document else frozenset()
    said = [_redacted(outcome, secrets) for outcome in outcomes]
    outcomes = coverage.settle(said)
    known = known_before(scan)
    seen = _seen(target, outcomes, secrets, known)
    facts = _facts(scan, target, outcomes, known, seen)
    judgement = judge(scan, facts)
    where, kept = _where(target, outcomes, facts, seen), facts.findings[:MAX_FINDINGS]
    runs = _run_rows(scan, target, outcomes)
    results = _result_rows(said, runs)
    columns = {
        "verdict": judgement.decision.verdict,
        "digest": target.digest,
        "baseline": known.baseline,
        "rules": rules,
        **_counts(kept, outcomes),
    }
    with transaction.atomic():
        if not Scan.objects.finish(lease, ScanStatus.COMPLETED, **columns):
            logger.info("Scan %s was ended meanwhile; results are dropped", scan.pk)
            return
        _write_runs(scan, runs, results)
        Finding.objects.insert_many(kept)
        ScanWaiver.objects.bulk_create(judgement.rows(scan, kept))
        _write_snapshot(scan, known, seen)
        # The target's row is held from here to the end: what is long comes before it.
        moved = histories.remember(scan, kept, where)
        detail = judgement.detail(facts) | asdict(moved)
        ScanDetail.objects.filter(pk=scan.pk).update(**detail)
        _count(scan, judgement.decision.verdict, kept, runs)
    logger.info("Scan %s of %s: %s", scan.pk, scan.scan_type, columns["verdict"])


@dataclass(frozen=True, slots=True)
class Seen:
    """What the target looks like now, and its drift from the active baseline if any."""

    now: Snapshot
    drift: Comparison | None


def _seen(
    target: Target, outcomes: Sequence[Outcome], secrets: frozenset[str], known: Known
) -> Seen:
    now = snapshot_of(target, outcomes, secrets)
    agreed = known.agreed
    return Seen(now, comparing.with_baseline(agreed, now, target) if agreed else None)


def snapshot_of(
    target: Target, outcomes: Sequence[Outcome], secrets: frozenset[str]
) -> Snapshot:
    """Return what a baseline will need of this scan; raise `KeyLost`."""
    if target.document is not None:
        seal = Seal(sealing.derived(Purpose.DIGESTS))
        return snapshots.of_document(target, secrets, seal)
    said = {each.scanner: each.report for each in outcomes if each.report}
    return snapshots.of_model(target, said)


def _where(
    target: Target, outcomes: Sequence[Outcome], facts: Facts, seen: Seen
) -> Look:
    """Return where this scan looked: only there is a finding resolved."""
    if len(facts.findings) > MAX_FINDINGS:
        return Look()  # whatever is missing may be among those that were not kept
    # Drift is told whole, or with a word on what could not be compared. Without a
    # baseline there is nothing to drift from.
    is_whole = seen.drift is None or not seen.drift.not_compared
    certain = {comparing.SCANNER} if is_whole else set()
    return recurrence.look(target, outcomes, certain)


def _write_snapshot(scan: Scan, known: Known, seen: Seen) -> None:
    now = seen.now
    ScanSnapshot.objects.create(scan=scan, elements=now.elements, document=now.document)
    if seen.drift is not None and known.baseline is not None:
        kept = json_value(comparing.listed(seen.drift))
        ScanDrift.objects.create(scan=scan, baseline_id=known.baseline.pk, **kept)


def _facts(
    scan: Scan,
    target: Target,
    outcomes: Sequence[Outcome],
    known: Known,
    seen: Seen,
) -> Facts:
    _say_what_is_not_catalogued(outcomes)
    findings = finding_rows(scan, target, outcomes, known)
    findings += drift_rows(scan, known, seen, is_mcp=target.document is not None)
    findings.sort(key=lambda row: -row.severity)
    gaps = [text(gap) for gap in coverage.gap_sentences(target, outcomes)]
    if len(findings) > MAX_FINDINGS:
        gaps.append(f"More than {MAX_FINDINGS} findings: the rest was not kept")
    completed = {o.scanner for o in outcomes if o.status == RunStatus.COMPLETED}
    untold = []
    if seen.drift is not None:
        untold = [text(sentence) for sentence in seen.drift.not_compared]
    # Of whatever was examined there is an SBOM: `exports.cyclonedx` makes it.
    has_sbom = bool(target.elements)
    return Facts(findings, gaps, untold, completed, known.approved, has_sbom)


def _write_runs(
    scan: Scan, runs: Sequence[ScannerRun], results: Sequence[StoredResult]
) -> None:
    ScannerRun.objects.bulk_create(runs)
    if results:
        StoredResult.objects.replace(results)
    if any(run.reused_from is None for run in runs):
        # Whoever waits for us now finds what there is.
        ResultClaim.objects.filter(scan_id=scan.pk).delete()


def _count(
    scan: Scan,
    verdict: Verdict,
    findings: Sequence[Finding],
    runs: Sequence[ScannerRun],
) -> None:
    severities = Counter(Severity(finding.severity) for finding in findings)
    measures.count_judged(scan, ScanStatus.COMPLETED, verdict, severities, runs)


def fail(lease: Lease, reason: str) -> bool:
    """End the scan without having looked: inconclusive, with the reason."""
    with transaction.atomic():
        if not Scan.objects.finish(
            lease, ScanStatus.FAILED, verdict=Verdict.INCONCLUSIVE
        ):
            return False
        ScanDetail.objects.filter(pk=lease.scan_id).update(reasons=[reason])
        scan = Scan.objects.get(pk=lease.scan_id)
        measures.count_judged(scan, ScanStatus.FAILED, Verdict.INCONCLUSIVE)
    logger.warning("Scan %s failed: %s", lease.scan_id, reason)
    return True


def known_before(scan: Scan) -> Known:
    """Return the active baseline, else what the previous judged scan found."""
    baseline = Baseline.objects.active().of_target(scan.scan_type, scan.target).first()
    if baseline is not None:
        return Known(baseline, frozenset(baseline.snapshot.get("fingerprints", ())))
    previous = (
        Scan.objects.judged()
        .filter(
            target_record=scan.target_record_id,
            scan_status=ScanStatus.COMPLETED,
            created_at__lt=scan.created_at,
        )
        .order_by("-created_at")
        .values_list("pk")[:1]
    )
    found = Finding.objects.filter(scan__in=previous)
    return Known(None, frozenset(found.values_list("fingerprint", flat=True)))


def finding_rows(
    scan: Scan, target: Target, outcomes: Sequence[Outcome], known: Known
) -> list[Finding]:
    """Return unsaved rows of what the scanners found."""
    rows = []
    for outcome in outcomes:
        prints = fingerprints(
            outcome.scanner, outcome.findings, is_single_file=target.is_file
        )
        rows += [
            _finding_row(scan, outcome.scanner, finding, identity, known)
            for finding, identity in zip(outcome.findings, prints, strict=True)
        ]
    return rows


def drift_rows(scan: Scan, known: Known, seen: Seen, *, is_mcp: bool) -> list[Finding]:
    """Return an unsaved row for each element that is not as it was approved."""
    if seen.drift is None or known.agreed is None:
        return []
    found = comparing.findings_of(seen.drift, known.agreed, seen.now, is_mcp=is_mcp)
    prints = fingerprints(comparing.SCANNER, found, is_single_file=False)
    return [
        _finding_row(scan, comparing.SCANNER, finding, identity, known)
        for finding, identity in zip(found, prints, strict=True)
    ]


def _finding_row(
    scan: Scan, scanner: str, finding: ReportedFinding, identity: str, known: Known
) -> Finding:
    rule = finding.rule
    return Finding(
        scan=scan,
        scanner=scanner,
        rule=text(rule.rule)[: TEXT_LIMITS["rule"]],
        severity=rule.severity,
        category=rule.category,
        title=text(finding.title)[: TEXT_LIMITS["title"]],
        description=text(finding.description),
        location=json_value(asdict(finding.location)),
        evidence=json_value(dict(finding.evidence)),
        remediation=rule.remediation,
        taxonomy={
            "cwe": list(rule.cwe),
            "owasp_llm": list(rule.owasp_llm),
            "owasp_mcp": list(rule.owasp_mcp),
            "atlas": list(rule.atlas),
        },
        fingerprint=identity,
        is_new=identity not in known.fingerprints,
    )


def _run_rows(
    scan: Scan, target: Target, outcomes: Sequence[Outcome]
) -> list[ScannerRun]:
    gaps = coverage.unexamined(target, outcomes)
    found = coverage.found_in(outcomes)
    return [
        ScannerRun(
            scan=scan,
            scanner=outcome.scanner,
            tool_version=outcome.tool_version,
            lock_digest=outcome.lock_digest,
            status=outcome.status,
            sandbox=outcome.sandbox,
            reused_from=outcome.reused_from,
            duration_ms=outcome.duration_ms,
            findings_count=len(outcome.findings),
            coverage=json_value(coverage.document(target, outcome, gaps, found)),
            error=text(outcome.reason),
        )
        for outcome in outcomes
    ]


def _result_rows(
    outcomes: Sequence[Outcome], runs: Sequence[ScannerRun]
) -> list[StoredResult]:
    """Return what later scans may use: whole answers alone, as the scanners gave them.

    Before they were settled: what the others said of a file may be otherwise next time.
    """
    rows = []
    for outcome, run in zip(outcomes, runs, strict=True):
        if not outcome.key or outcome.report is None or not run.coverage["complete"]:
            continue
        text = reports.dump(outcome.report)
        if len(text) <= MAX_STORED_CHARACTERS:
            row = StoredResult(key=outcome.key, run=run, scanner=run.scanner)
            row.report = text
            rows.append(row)
    return rows


def _counts(findings: Sequence[Finding], outcomes: Sequence[Outcome]) -> dict[str, int]:
    by_severity = Counter(finding.severity for finding in findings)
    return {
        "is_of_bytes": all(o.status != RunStatus.SKIPPED for o in outcomes),
        "total_findings": len(findings),
        "new_findings": sum(finding.is_new for finding in findings),
        **{f"{s.name.lower()}_count": by_severity[s] for s in Severity},
    }


def _redacted(outcome: Outcome, secrets: frozenset[str]) -> Outcome:
    if outcome.reused_from is not None:
        return outcome  # done before it was stored, and twice may not be the same
    return replace(
        outcome,
        report=redact(outcome.report, secrets) if outcome.report else None,
        reason=mask(outcome.reason, secrets),
    )


def _say_what_is_not_catalogued(outcomes: Sequence[Outcome]) -> None:
    unknown = {
        finding.rule.rule
        for outcome in outcomes
        for finding in outcome.findings
        if not finding.rule.is_catalogued
    }
    for rule in sorted(unknown):
        logger.warning(
            "Rule %s is not in the catalogue: the tool's severity holds", rule
        )
