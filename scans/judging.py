"""From rows to the gate's question and back: one way for new scans and stored ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

from django.utils import timezone

from scanners.contract import Category, Severity
from scans import gate, waivers
from scans.comparing import kinds_in
from scans.models import Finding, Scan, ScanWaiver, Waiver
from scans.waivers import AcceptedRisk


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found out, whoever asks and by whichever policy.

    `gaps` are sentences, `baseline_gaps` those on what could not be compared with the
    active baseline. `approved` are the fingerprints of the active baseline, None
    without one. `completed` are names of scanners.
    """

    findings: Sequence[Finding]
    gaps: Sequence[str] = ()
    baseline_gaps: Sequence[str] = ()
    completed: AbstractSet[str] = frozenset()
    approved: AbstractSet[str] | None = None
    has_sbom: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on a target, that on its bytes alone, and what was waived."""

    decision: gate.Decision
    of_bytes: gate.Decision
    waived: Mapping[str, AcceptedRisk]

    def detail(self, facts: Facts) -> dict[str, Any]:
        """Return the columns of `scan_details` that tell of it."""
        drifted = any(f.category == Category.BASELINE_DRIFT for f in facts.findings)
        is_same = self.of_bytes == self.decision and not drifted
        return {
            "reasons": list(self.decision.reasons),
            "of_bytes": None if is_same else _kept(self.of_bytes),
            "evidence": _evidence(facts),
        }

    def rows(self, scan: Scan, findings: Sequence[Finding]) -> list[ScanWaiver]:
        """Return the unsaved proof of what was waived among `findings`."""
        found = {finding.fingerprint for finding in findings}
        return [
            ScanWaiver(
                scan=scan,
                waiver_id=risk.waiver_id,
                fingerprint=risk.fingerprint,
                target=risk.target,
                reason=risk.reason,
                created_by=risk.created_by,
                expires_at=risk.expires_at,
            )
            for fingerprint, risk in sorted(self.waived.items())
            if fingerprint in found
        ]


def judge(scan: Scan, facts: Facts) -> Judgement:
    """Apply the scan's policy, and the waivers that are in force at this moment."""
    document = scan.policy.document if scan.policy else gate.DEFAULT_DOCUMENT
    rules = gate.PolicyRules.from_document(document)
    risks = Waiver.objects.in_force().covering(scan.target).risks()
    waived = waivers.in_force(risks, target=scan.target, at=timezone.now())
    decision = gate.decide(rules, evidence(facts, waived))
    everywhere = {f: risk for f, risk in waived.items() if risk.is_for_all}
    of_bytes = gate.decide(rules, evidence(_without_baseline(facts), everywhere))
    return Judgement(decision, of_bytes, waived)


def evidence(
    facts: Facts, waived: AbstractSet[str] | Mapping[str, Any]
) -> gate.Evidence:
    approved = facts.approved or frozenset()
    return gate.Evidence(
        findings=[
            judged(
                finding,
                is_known=finding.fingerprint in approved,
                is_waived=finding.fingerprint in waived,
            )
            for finding in facts.findings
        ],
        gaps=[*facts.gaps, *facts.baseline_gaps],
        completed=facts.completed,
        has_sbom=facts.has_sbom,
    )


def judged(row: Finding, *, is_known: bool, is_waived: bool) -> gate.JudgedFinding:
    return gate.JudgedFinding(
        rule=row.rule,
        severity=Severity(row.severity),
        category=Category(row.category),
        title=row.title,
        where=_where(row.location),
        drift=kinds_in(row.evidence),
        is_known=is_known,
        is_waived=is_waived,
    )


def _where(location: Mapping[str, Any]) -> str:
    path, member = location.get("path") or "", location.get("member")
    return f"{path}:{member}" if member else path


def _without_baseline(facts: Facts) -> Facts:
    """A baseline is one target's: without it nothing is approved, nothing drifts."""
    kept = [row for row in facts.findings if row.category != Category.BASELINE_DRIFT]
    return replace(facts, findings=kept, approved=None, baseline_gaps=())


def _kept(decision: gate.Decision) -> dict[str, Any]:
    return {"verdict": decision.verdict.value, "reasons": list(decision.reasons)}


def _evidence(facts: Facts) -> dict[str, Any]:
    # As many gaps as anybody is ever told; an archive may have a hundred thousand.
    gaps = list(dict.fromkeys([*facts.gaps, *facts.baseline_gaps]))
    return {
        "gaps": gaps[: gate.REASONS_SHOWN],
        "more_gaps": max(0, len(gaps) - gate.REASONS_SHOWN),
        "has_sbom": facts.has_sbom,
    }
