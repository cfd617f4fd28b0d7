"""What a policy would have said of the scans that are stored. Nothing is changed.

Judged again from rows: findings, runs and gaps as they were found, the baseline that
each was compared with, the waivers that are in force now. Two queries for 1,000 scans,
three where one has drifted, and of each scan only what decides: memory does not grow
with its findings.
"""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from itertools import batched
from typing import Any

from django.db.models import Exists, Q, QuerySet

from scanners.contract import Category
from scans import gate, judging
from scans.choices import RunStatus, ScanStatus, Verdict
from scans.models import Finding, Scan, ScannerRun, Waiver

CHUNK = 1_000
MOST_SCANS = 10_000
COLUMNS = (
    *("scan_id", "scan_type", "target", "created_at", "scan_status", "verdict"),
    *("baseline_id", "detail__evidence"),
)
# What decides of a finding that somebody minds; of drift also where its kind may stand.
_DECIDING = ("severity", "category", "is_new")
_OF_DRIFT = (*_DECIDING, "evidence", "location")

type Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rejudged:
    """One stored scan; `after` is None where too little was kept to judge it again."""

    scan_id: uuid.UUID
    scan_type: str
    target: str
    before: str
    after: str | None


@dataclass(slots=True)
class Outcome:
    """`changes` are all scans with another verdict, newest first."""

    scans: int = 0
    not_judged: int = 0
    is_complete: bool = True
    changes: list[Rejudged] = field(default_factory=list)
    # Of each target the newest scan that was judged.
    newest: dict[tuple[str, str], Rejudged] = field(default_factory=dict)

    def summary(self) -> Row:
        flips = Counter((c.before, c.after) for c in self.changes)
        return {
            "scans": self.scans,
            "changed": len(self.changes),
            "not_judged": self.not_judged,
            "is_complete": self.is_complete,
            "flips": [
                {"before": before, "after": after, "scans": count}
                for (before, after), count in sorted(flips.items(), key=str)
            ],
            "targets": [
                {
                    "scan_type": one.scan_type,
                    "target": one.target,
                    "before": one.before,
                    "after": one.after,
                }
                for one in self.newest.values()
                if one.before != one.after
            ],
        }


def ask(
    rules: gate.PolicyRules,
    *,
    scan_type: str = "",
    created_after: datetime | None = None,
    most: int = MOST_SCANS,
) -> Outcome:
    """Judge the newest `most` finished scans by `rules`, and say what would differ."""
    outcome = Outcome()
    rows = _asked(scan_type, created_after)
    for one in rejudge(rules, rows[:most]):
        outcome.scans += 1
        if one.after is None:
            outcome.not_judged += 1
            continue
        outcome.newest.setdefault((one.scan_type, one.target), one)
        if one.after != one.before:
            outcome.changes.append(one)
    if outcome.scans == most:
        outcome.is_complete = not rows[most : most + 1].exists()
    return outcome


def _asked(scan_type: str, created_after: datetime | None) -> QuerySet[Any, Row]:
    newest = Scan.objects.judged().order_by("-created_at", "-scan_id")
    rows: QuerySet[Any, Row] = newest.values(*COLUMNS)
    if scan_type:
        rows = rows.filter(scan_type=scan_type)
    if created_after:
        rows = rows.filter(created_at__gt=created_after)
    return rows


def rejudge(rules: gate.PolicyRules, scans: QuerySet[Any, Row]) -> Iterator[Rejudged]:
    """Yield every one of `scans` with its verdict and that by `rules`."""
    # Their own columns fit into memory, MOST_SCANS rows of them; findings are read by
    # the chunk.
    for each in batched(scans, CHUNK):
        yield from _rejudged(rules, list(each))


def _rejudged(rules: gate.PolicyRules, scans: list[Row]) -> Iterator[Rejudged]:
    keys = [scan["scan_id"] for scan in scans]
    runs = ScannerRun.objects.filter(scan_id__in=keys, status=RunStatus.COMPLETED)
    completed: defaultdict[uuid.UUID, set[str]] = defaultdict(set)
    for scan_id, scanner in runs.order_by().values_list("scan_id", "scanner"):
        completed[scan_id].add(scanner)
    findings = _findings(rules, keys)
    # What they allow is left out there, and nobody asks for the rule of the others.
    rules = replace(rules, allow_rules=frozenset())
    for scan in scans:
        key = scan["scan_id"]
        after = _verdict(rules, scan, findings.get(key, ()), completed[key])
        yield Rejudged(key, scan["scan_type"], scan["target"], scan["verdict"], after)


def _verdict(
    rules: gate.PolicyRules, scan: Row, findings: Iterable[Row], completed: set[str]
) -> str | None:
    if scan["scan_status"] == ScanStatus.FAILED:
        return Verdict.INCONCLUSIVE.value
    kept = scan["detail__evidence"]
    if kept is None:
        return None
    has_baseline = scan["baseline_id"] is not None
    evidence = gate.Evidence(
        findings=[_judged(row, has_baseline) for row in findings],
        gaps=kept["gaps"],
        more_gaps=kept["more_gaps"],
        completed=completed,
        has_sbom=kept["has_sbom"],
    )
    return gate.decide(rules, evidence).verdict.value


def _judged(row: Row, has_baseline: bool) -> gate.JudgedFinding:
    # With a baseline "new" means: not in it. Without one nothing is approved.
    is_known = has_baseline and not row["is_new"]
    if "evidence" in row:
        columns = {name: row[name] for name in _OF_DRIFT}
        return judging.judged(Finding(**columns), is_known=is_known, is_waived=False)
    return _judged_plain(row["severity"], row["category"], is_known)


@cache
def _judged_plain(severity: int, category: str, is_known: bool) -> gate.JudgedFinding:
    # There are a hundred of them: making the row of each again took most of the time.
    finding = Finding(severity=severity, category=category)
    return judging.judged(finding, is_known=is_known, is_waived=False)


def _findings(
    rules: gate.PolicyRules, keys: list[uuid.UUID]
) -> dict[uuid.UUID, list[Row]]:
    """Return what decides of each scan's findings: equals are one.

    What is waived or allowed fails no policy, and left out here the rest are few: a
    scan's findings differ in their rules and fingerprints, hardly in what decides.
    """
    minded = _minded(rules, keys)
    found: defaultdict[uuid.UUID, list[Row]] = defaultdict(list)
    drifted = set()
    for row in minded.order_by().values("scan_id", *_DECIDING).distinct():
        if row["category"] == Category.BASELINE_DRIFT:
            drifted.add(row["scan_id"])
        else:
            found[row["scan_id"]].append(row)
    if drifted:
        drift = _minded(rules, drifted).filter(category=Category.BASELINE_DRIFT)
        for row in drift.values("scan_id", *_OF_DRIFT):
            found[row["scan_id"]].append(row)
    return found


def _minded(rules: gate.PolicyRules, keys: Collection[uuid.UUID]) -> QuerySet[Finding]:
    """Return what these scans found and nobody accepts."""
    # Few fingerprints are waived at all: whether one is, a hash table says, and only
    # of those it is asked on which target.
    accepted = Waiver.objects.in_force().order_by().values("fingerprint")
    here = Q(fingerprint__in=accepted) & Q(Exists(Waiver.objects.of_findings()))
    return Finding.objects.filter(~here, scan_id__in=keys).exclude(
        rule__in=rules.allow_rules
    )
