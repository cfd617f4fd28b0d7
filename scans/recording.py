"""From what the scanners said to rows: findings, runs, verdict, all or nothing."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from django.db import transaction

from scanners.contract import ReportedFinding, Severity, Target
from scanners.documents import servers_of
from scanners.redaction import mask, mask_value, redact, secrets_of
from scans import coverage, measures, reports
from scans.choices import RunStatus, ScanStatus, Verdict
from scans.coverage import Outcome
from scans.fingerprints import fingerprints
from scans.judging import Facts, judge
from scans.models import (
    Baseline,
    Finding,
    Lease,
    ResultClaim,
    Scan,
    ScanDetail,
    ScannerRun,
    ScanSnapshot,
    ScanWaiver,
    StoredResult,
)

logger = logging.getLogger(__name__)

MAX_FINDINGS = 50_000
MAX_STORED_CHARACTERS = 4 << 20  # of a report that is kept to be used again
KEPT_OF_SERVER = ("type", "transport", "command", "args", "cwd", "disabled")
TEXT_LIMITS = {"title": 500, "rule": 200}


@dataclass(frozen=True, slots=True)
class Known:
    """What was there before: the active baseline, and the fingerprints people know."""

    baseline: Baseline | None
    fingerprints: frozenset[str]

    @property
    def approved(self) -> frozenset[str] | None:
        return self.fingerprints if self.baseline else None


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
    _say_what_is_not_catalogued(outcomes)
    known = known_before(scan)
    facts = _facts(scan, target, outcomes, known)
    judgement = judge(scan, facts)
    verdict = judgement.decision.verdict
    kept = facts.findings[:MAX_FINDINGS]
    runs = _run_rows(scan, target, outcomes)
    results = _result_rows(said, runs)
    with transaction.atomic():
        if not Scan.objects.finish(
            lease,
            ScanStatus.COMPLETED,
            verdict=verdict,
            digest=target.digest,
            baseline=known.baseline,
            rules=rules,
            is_of_bytes=all(each.status != RunStatus.SKIPPED for each in outcomes),
            **_counts(kept),
        ):
            logger.info("Scan %s was ended meanwhile; results are dropped", scan.pk)
            return
        ScanDetail.objects.filter(pk=scan.pk).update(**judgement.detail(facts))
        _write_runs(scan, runs, results)
        Finding.objects.insert_many(kept)
        ScanWaiver.objects.bulk_create(judgement.rows(scan, kept))
        ScanSnapshot.objects.create(scan=scan, **_seen(target, secrets))
        _count(scan, verdict, kept, runs)
    logger.info("Scan %s of %s: %s", scan.pk, scan.scan_type, verdict)


def _facts(
    scan: Scan, target: Target, outcomes: Sequence[Outcome], known: Known
) -> Facts:
    findings = finding_rows(scan, target, outcomes, known)
    gaps = [_text(gap) for gap in coverage.gap_sentences(target, outcomes)]
    if len(findings) > MAX_FINDINGS:
        gaps.append(f"More than {MAX_FINDINGS} findings: the rest was not kept")
    completed = {o.scanner for o in outcomes if o.status == RunStatus.COMPLETED}
    # Of whatever was examined there is an SBOM: `exports.cyclonedx` makes it.
    has_sbom = bool(target.elements)
    return Facts(findings, gaps, completed, known.approved, has_sbom)


def _seen(target: Target, secrets: frozenset[str]) -> dict[str, Any]:
    elements = [asdict(element) for element in target.elements]
    return {"elements": elements, "document": kept_document(target, secrets)}


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


def kept_document(target: Target, secrets: frozenset[str]) -> Any:
    """Return what a baseline will need of an MCP document, and no value that is secret.

    Of a configuration only what says which program or address is used; of variables and
    headers the names alone. What nobody compares is not kept: it could be anything.
    """
    if target.document is None:
        return None
    servers = servers_of(target.document)
    config = {name: _kept_server(server) for name, server in servers.items()}
    return _json(mask_value(dict(target.document) | {"config": config}, secrets))


def _kept_server(server: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: server[name] for name in KEPT_OF_SERVER if name in server}
    for name in ("env", "headers"):
        if isinstance(named := server.get(name), Mapping):
            kept[name] = sorted(map(str, named))
    if isinstance(url := server.get("url"), str):
        kept["url"] = url.partition("?")[0]
    return kept


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
        .filter(target_record=scan.target_record_id, scan_status=ScanStatus.COMPLETED)
        .exclude(pk=scan.pk)
        .order_by("-created_at")
        .values_list("pk")[:1]
    )
    found = Finding.objects.filter(scan__in=previous)
    return Known(None, frozenset(found.values_list("fingerprint", flat=True)))


def finding_rows(
    scan: Scan, target: Target, outcomes: Sequence[Outcome], known: Known
) -> list[Finding]:
    """Return unsaved rows, worst first."""
    rows = []
    is_single = len(target.elements) == 1
    for outcome in outcomes:
        prints = fingerprints(
            outcome.scanner, outcome.findings, is_single_file=is_single
        )
        rows += [
            _finding_row(scan, outcome.scanner, finding, identity, known)
            for finding, identity in zip(outcome.findings, prints, strict=True)
        ]
    rows.sort(key=lambda row: -row.severity)
    return rows


def _finding_row(
    scan: Scan, scanner: str, finding: ReportedFinding, identity: str, known: Known
) -> Finding:
    rule = finding.rule
    return Finding(
        scan=scan,
        scanner=scanner,
        rule=_text(rule.rule)[: TEXT_LIMITS["rule"]],
        severity=rule.severity,
        category=rule.category,
        title=_text(finding.title)[: TEXT_LIMITS["title"]],
        description=_text(finding.description),
        location=_json(asdict(finding.location)),
        evidence=_json(dict(finding.evidence)),
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
    return [
        ScannerRun(
            scan=scan,
            scanner=outcome.scanner,
            tool_version=outcome.tool_version,
            status=outcome.status,
            sandbox=outcome.sandbox,
            reused_from=outcome.reused_from,
            duration_ms=outcome.duration_ms,
            findings_count=len(outcome.findings),
            coverage=_json(coverage.document(target, outcome, gaps)),
            error=_text(outcome.reason),
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


def _counts(findings: Sequence[Finding]) -> dict[str, int]:
    by_severity = Counter(finding.severity for finding in findings)
    return {
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


def _text(text: str) -> str:
    # What the tools quote comes from attackers: PostgreSQL takes neither NUL bytes
    # nor lone surrogates.
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def _json(value: Any) -> Any:
    match value:
        case str():
            return _text(value)
        case dict():
            return {_text(str(key)): _json(item) for key, item in value.items()}
        case list() | tuple():
            return [_json(item) for item in value]
        case float() if value != value or value in (float("inf"), float("-inf")):
            return str(value)  # neither NaN nor infinity is JSON
    return value
