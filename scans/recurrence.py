"""What becomes of a target's findings from scan to scan: new, gone, back. Pure.

A finding is resolved where a scan looked at its place and it was not there. Where
nobody looked (the scanner gave no answer, the file could not be opened, the server was
not listed) it stays open: silence resolves nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Hashable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from scanners.contract import Target, TargetKind
from scans.choices import RunStatus
from scans.coverage import Outcome, unexamined


@dataclass(frozen=True, slots=True)
class PastFinding:
    """A finding that the target had before.

    `is_unconfirmed`: the scan before this one could not look for it. `words` is what
    people read of it, which a newer tool may put otherwise.
    """

    key: uuid.UUID
    fingerprint: str
    scanner: str
    path: str
    server: str
    is_resolved: bool = False
    is_unconfirmed: bool = False
    words: Hashable = None


@dataclass(frozen=True, slots=True)
class Look:
    """Where a scan looked. `examined`: each scanner that answered, and its paths.

    `present` are all elements, `gaps` those that nobody examined, `unlisted` the
    servers that did not tell what they have. `hides_elements`: there may be elements
    that it does not know. `certain` are scanners whose silence speaks for everything.
    """

    examined: Mapping[str, AbstractSet[str]] = field(default_factory=dict)
    present: AbstractSet[str] = frozenset()
    gaps: AbstractSet[str] = frozenset()
    unlisted: AbstractSet[str] = frozenset()
    hides_elements: bool = False
    certain: AbstractSet[str] = frozenset()

    def could_see(self, finding: PastFinding) -> bool:
        """Whether it would have been found, were it still there."""
        if finding.scanner in self.certain:
            return True
        if finding.scanner not in self.examined:
            return False
        if finding.path in self.examined[finding.scanner]:
            return True
        if not finding.path or finding.path in self.present:
            # Another scanner read it: this one does not know its format any more.
            return finding.path not in self.gaps
        if finding.server:
            return finding.server not in self.unlisted
        return not (self.hides_elements or self.unlisted)


def look(
    target: Target, outcomes: Sequence[Outcome], certain: AbstractSet[str]
) -> Look:
    """Return where the scan of `target` looked."""
    sizes = {element.path: element.size for element in target.elements}
    is_mcp = target.kind is TargetKind.MCP
    # An empty file is a gap that hides nothing; an archive that cannot be opened does.
    closed = [gap.path for gap in target.gaps if is_mcp or sizes.get(gap.path) != 0]
    return Look(
        examined={
            outcome.scanner: outcome.coverage.scanned | outcome.coverage.inert
            for outcome in outcomes
            if outcome.status == RunStatus.COMPLETED
        },
        present=sizes.keys(),
        gaps={skip.path for skip in unexamined(target, outcomes)},
        unlisted={
            path.partition("/")[2] for path in closed if path.startswith("servers/")
        },
        hides_elements=not sizes or (bool(closed) and not is_mcp),
        certain=certain,
    )


@dataclass(frozen=True, slots=True)
class Recurrence:
    """What changes in the memory of a target.

    `new` are fingerprints, the others keys of what is remembered: `reopened` were
    resolved and are back, `confirmed` are seen again after a scan that could not look,
    `resolved` are gone, for `unconfirmed` this scan could not look. `reworded` are
    those of the first two, and those still there, that are put otherwise now.
    """

    new: frozenset[str]
    reopened: tuple[uuid.UUID, ...] = ()
    confirmed: tuple[uuid.UUID, ...] = ()
    resolved: tuple[uuid.UUID, ...] = ()
    unconfirmed: tuple[uuid.UUID, ...] = ()
    reworded: tuple[uuid.UUID, ...] = ()


def recurrence(
    known: Iterable[PastFinding], found: Mapping[str, Hashable], where: Look
) -> Recurrence:
    """Compare what a scan found (fingerprint -> words) with what is remembered.

    `known` are the open findings, and of the resolved ones those that were found.
    """
    new = set(found)
    moved: dict[str, list[uuid.UUID]] = {name: [] for name in _MOVES}
    for each in known:
        if each.fingerprint in found:
            new.discard(each.fingerprint)
            if each.words != found[each.fingerprint]:
                moved["reworded"].append(each.key)
        if move := _move(each, is_found=each.fingerprint in found, where=where):
            moved[move].append(each.key)
    return Recurrence(frozenset(new), **{k: tuple(v) for k, v in moved.items()})


_MOVES = ("reopened", "confirmed", "resolved", "unconfirmed", "reworded")


def _move(finding: PastFinding, *, is_found: bool, where: Look) -> str:
    """Return what becomes of one finding; "" for nothing."""
    if is_found:
        if finding.is_resolved:
            return "reopened"
        return "confirmed" if finding.is_unconfirmed else ""
    if finding.is_resolved:
        return ""
    if where.could_see(finding):
        return "resolved"
    return "" if finding.is_unconfirmed else "unconfirmed"
