"""What a policy would have said of the scans that are stored. Nothing is changed.

Judged again from rows: findings, runs and gaps as they were found, the baseline that
each was compared with, the waivers that are in force now. Three queries for 1,000
scans, and of each scan only what decides: memory does not grow with its findings.
"""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import batched
from typing import Any

from django.db.models import (
    BooleanField,
    Case,
    Exists,
    Q,
    QuerySet,
    When,
)

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
# What decides; of drift also where its kind may stand.
_DECIDING = ("rule", "severity", "category", "is_new")
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
    findings = _findings(keys)
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
        finding = Finding(**columns)
        return judging.judged(finding, is_known=is_known, is_waived=row["is_waived"])
    return _judged_plain(
        row["rule"], row["severity"], row["category"], is_known, row["is_waived"]
    )


@lru_cache(maxsize=4_096)
def _judged_plain(
    rule: str, severity: int, category: str, is_known: bool, is_waived: bool
) -> gate.JudgedFinding:
    # Of thousands of scans few findings decide otherwise than one before: making the
    # row of each again took most of the time.
    finding = Finding(rule=rule, severity=severity, category=category)
    return judging.judged(finding, is_known=is_known, is_waived=is_waived)


def _findings(keys: list[uuid.UUID]) -> dict[uuid.UUID, list[Row]]:
    """Return what decides of each scan's findings: equals are one."""
    # Few fingerprints are waived at all: whether one is, a hash table says, and only
    # of those it is asked on which target.
    accepted = Waiver.objects.in_force().order_by().values("fingerprint")
    here = When(fingerprint__in=accepted, then=Exists(Waiver.objects.of_findings()))
    waived = Case(here, default=False, output_field=BooleanField())
    rows = Finding.objects.filter(scan_id__in=keys).annotate(is_waived=waived)
    is_drift = Q(category=Category.BASELINE_DRIFT)
    plain = rows.exclude(is_drift).order_by()
    found: defaultdict[uuid.UUID, list[Row]] = defaultdict(list)
    for row in plain.values("scan_id", *_DECIDING, "is_waived").distinct():
        found[row["scan_id"]].append(row)
    for row in rows.filter(is_drift).values("scan_id", *_OF_DRIFT, "is_waived"):
        found[row["scan_id"]].append(row)
    return found
