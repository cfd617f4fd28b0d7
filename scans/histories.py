"""A recorded scan in the memory of its target, in the transaction that records it."""

from __future__ import annotations

import uuid
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scans.models import Finding, Scan, Target, TargetFinding
from scans.models.copying import BATCH
from scans.models.targets import Seen
from scans.recurrence import Look, PastFinding, Recurrence, recurrence

_KNOWN = (
    *("target_finding_id", "fingerprint", "scanner", "location", "resolved_at"),
    *("last_seen_at", "severity", "title"),
)
_REWORDED = ("severity", "title", "rule", "category", "location")


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of the target's findings this scan saw gone, and back again."""

    resolved_findings: int = 0
    reopened_findings: int = 0


def remember(scan: Scan, findings: Sequence[Finding], where: Look) -> Counts:
    """Tell the target's memory of a scan whose `findings` have just been inserted.

    Costs one read of what is open and writes only what has changed. A scan that a newer
    one of the same target has overtaken is not told: it would say what was before.
    """
    if (target := scan.target_record_id) is None:
        return Counts()
    before = Target.objects.advance(target, at=scan.created_at, scan_id=scan.pk)
    if before is None:
        return Counts()
    found = {finding.fingerprint: finding for finding in findings}
    words = {each: _words(row.severity, row.title) for each, row in found.items()}
    known = _known(scan, target, has_findings=bool(found))
    changed = recurrence(known, words, where)
    _move(scan, before, changed)
    _reword(changed, found)
    if changed.new:
        TargetFinding.objects.add_new_of(scan.pk)
    return Counts(len(changed.resolved), len(changed.reopened))


def _known(
    scan: Scan, target: uuid.UUID, *, has_findings: bool
) -> Iterator[PastFinding]:
    """Yield what was open, and what was over and has been found by this scan."""
    rows = TargetFinding.objects.filter(target_id=target).order_by()
    parts = [rows.open()]
    if has_findings:
        prints = Finding.objects.filter(scan=scan).order_by().values("fingerprint")
        parts.append(rows.resolved().filter(fingerprint__in=prints))
    for part in parts:
        # No cursor of the server's: for the few rows of most targets it takes longer.
        for row in part.values(*_KNOWN):
            location = row["location"] or {}
            yield PastFinding(
                key=row["target_finding_id"],
                fingerprint=row["fingerprint"],
                scanner=row["scanner"],
                path=location.get("path") or "",
                server=location.get("server") or "",
                is_resolved=row["resolved_at"] is not None,
                is_unconfirmed=row["last_seen_at"] is not None,
                words=_words(row["severity"], row["title"]),
            )


def _words(severity: int, title: str) -> Hashable:
    return int(severity), title


def _move(scan: Scan, before: Seen, changed: Recurrence) -> None:
    rows, at = TargetFinding.objects, scan.created_at
    seen: dict[str, Any] = {"seen_at": before.at, "seen_in": before.scan_id}
    rows.resolve(changed.resolved, at=at, scan_id=scan.pk, **seen)
    rows.lose_sight(changed.unconfirmed, **seen)
    rows.confirm(changed.confirmed)
    rows.reopen(changed.reopened, at=at)


def _reword(changed: Recurrence, found: Mapping[str, Finding]) -> None:
    """Put what is still there in the words of the newest scan."""
    for start in range(0, len(changed.reworded), BATCH):
        keys = changed.reworded[start : start + BATCH]
        rows = list(TargetFinding.objects.filter(pk__in=keys))
        for row in rows:
            for name in _REWORDED:
                setattr(row, name, getattr(found[row.fingerprint], name))
        TargetFinding.objects.bulk_update(rows, _REWORDED)
