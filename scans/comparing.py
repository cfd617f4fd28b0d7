"""A snapshot against the approved one, in words: findings, and the list of changes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from scanners.catalogue import lookup
from scanners.contract import (
    Category,
    Location,
    ReportedFinding,
    Severity,
    Target,
    TargetKind,
)
from scanners.wording import clean
from scans import snapshots
from scans.drift import Change, Comparison, ElementDrift, Kind, Nature, compare
from scans.drift.differences import canonical
from scans.drift.elements import label
from scans.drift.excerpts import shown
from scans.snapshots import Snapshot

SCANNER = "sentrascan-drift"
MAX_CHANGES = 20_000  # listed of one comparison
# Characters of a value in the list of changes; fewer where it is a list of megabytes.
MAX_VALUE, SHORT_VALUE, MAX_LISTED = 4_000, 80, 8 << 20
IN_EVIDENCE, MAX_IN_EVIDENCE = 20, 300
RENAMED_AND_CHANGED = "RENAMED_AND_CHANGED"
WORDS = {
    Nature.ELEMENT: "all of it",
    Nature.NAME: "name",
    Nature.DESCRIPTION: "description",
    Nature.HIDDEN_UNICODE: "hidden Unicode",
    Nature.SCHEMA_WIDENED: "schema takes more",
    Nature.SCHEMA_NARROWED: "schema takes less",
    Nature.SCHEMA_CHANGED: "schema",
    Nature.ANNOTATION: "annotation",
    Nature.PERMISSION: "permission",
    Nature.COMMAND: "command or arguments",
    Nature.ENVIRONMENT: "environment or headers",
    Nature.ENDPOINT: "endpoint",
    Nature.CONTENT: "content",
    Nature.FORMAT: "format",
    Nature.INSIDE: "what is inside",
    Nature.OTHER: "other fields",
}


@dataclass(frozen=True, slots=True)
class Approved:
    """A baseline as a comparison needs it: its name, and its snapshot's document."""

    name: str
    document: Mapping[str, Any] | None


def with_baseline(baseline: Approved, now: Snapshot, target: Target) -> Comparison:
    """Return the drift of a scan; what cannot be compared is said, never left out."""
    try:
        before, after, told = snapshots.side_by_side(baseline.document, now.document)
    except snapshots.Incomparable as error:
        return Comparison(not_compared=(str(error),))
    gaps = {gap.path for gap in target.gaps}
    found = compare(
        before,
        after,
        is_mcp=target.kind is TargetKind.MCP,
        unseen=gaps,
        unlisted={
            path.partition("/")[2] for path in gaps if path.startswith("servers/")
        },
    )
    return replace(found, not_compared=(*told, *found.not_compared))


def of_documents(
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    *,
    is_mcp: bool,
) -> Comparison:
    """Compare two baselines; raise `Incomparable` for one of an earlier release."""
    olds, news, told = snapshots.side_by_side(before, after)
    found = compare(olds, news, is_mcp=is_mcp)
    return replace(found, not_compared=(*told, *found.not_compared))


def findings_of(
    comparison: Comparison, baseline: Approved, now: Snapshot, *, is_mcp: bool
) -> list[ReportedFinding]:
    """Return one finding for each element that drifted.

    What identifies it is the element and what became of it: the same change is the same
    finding in the next scan, and another one is another, whoever waived the first.
    """
    servers = now.document.get("servers") or {}
    return [
        _finding(drift, baseline, now, servers.get(drift.element, ""), is_mcp)
        for drift in comparison.drifts
    ]


def _finding(
    drift: ElementDrift,
    baseline: Approved,
    now: Snapshot,
    server: str,
    is_mcp: bool,
) -> ReportedFinding:
    rule = lookup(
        SCANNER,
        _code(drift),
        tool_severity=Severity.HIGH,
        category=Category.BASELINE_DRIFT,
    )
    head, _, name = drift.element.partition("/")
    location = Location(path=drift.element)
    if is_mcp:
        location = Location(
            path=drift.element,
            server=name if head == "servers" else server or None,
            tool=name if head == "tools" else None,
        )
    return ReportedFinding(
        rule=replace(rule, severity=drift.severity),
        title=_title(drift, is_mcp=is_mcp),
        description=_description(drift, baseline),
        location=location,
        evidence=_evidence(drift),
        element=drift.element,
        evidence_key=_identity(drift, now, server),
    )


def _code(drift: ElementDrift) -> str:
    # A rule of its own, so that to allow renames allows nothing else.
    return RENAMED_AND_CHANGED if len(drift.kinds) > 1 else drift.kinds[0].upper()


def _title(drift: ElementDrift, *, is_mcp: bool) -> str:
    what = clean(label(drift.element, is_mcp=is_mcp), 200)
    natures = [n for n in drift.natures if n not in (Nature.NAME, Nature.ELEMENT)]
    words = ", ".join(WORDS[nature] for nature in natures)
    match drift.kinds:
        case (Kind.ADDED,):
            return f"{what} is new" + (f", with {words}" if words else "")
        case (Kind.REMOVED,):
            return f"{what} is gone"
        case (Kind.CHANGED,):
            return f"{what} changed: {words}"
    former = clean(label(drift.former, is_mcp=is_mcp), 200)
    changed = f", and changed: {words}" if Kind.CHANGED in drift.kinds else ""
    return f"{what} was {former}{changed}"


def _description(drift: ElementDrift, baseline: Approved) -> str:
    lines = [f"Compared with the approved baseline {clean(baseline.name, 200)}:"]
    for change in drift.changes[:IN_EVIDENCE]:
        place = clean(change.path, 300) or "the whole"
        lines.append(f"{change.kind}: {place} ({WORDS[change.nature]})")
    more = len(drift.changes) - IN_EVIDENCE
    if (left := max(0, more) + drift.omitted) > 0:
        lines.append(f"and {left} more")
    return "\n".join(lines)


def _evidence(drift: ElementDrift) -> dict[str, Any]:
    listed = drift.changes[:IN_EVIDENCE]
    return {
        "kinds": [str(kind) for kind in drift.kinds],
        "natures": [str(nature) for nature in drift.natures],
        "former": drift.former,
        "changes": [_row(change, MAX_IN_EVIDENCE) for change in listed],
        "omitted": len(drift.changes) - len(listed) + drift.omitted,
    }


def _identity(drift: ElementDrift, now: Snapshot, server: str) -> str:
    value = now.document["definitions"].get(drift.element)
    if drift.kinds == (Kind.REMOVED,):
        value = drift.changes[0].before
    form = canonical([drift.former, server, value])
    return hashlib.sha256(form).hexdigest()


def kinds_in(evidence: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the kinds of drift that a stored finding's evidence tells of."""
    kinds = evidence.get("kinds")
    return tuple(map(str, kinds)) if isinstance(kinds, list) else ()


def listed(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as it is stored and answered: changes, gravest first."""
    changes = comparison.changes
    beyond = sum(drift.omitted for drift in comparison.drifts)
    left, rows = MAX_LISTED, []
    for change in changes[:MAX_CHANGES]:
        row = _row(change, MAX_VALUE if left > 0 else SHORT_VALUE)
        left -= len(canonical(row))
        rows.append(row)
    return {
        "changes": rows,
        "omitted": max(0, len(changes) - MAX_CHANGES) + beyond,
        "not_compared": list(comparison.not_compared),
    }


def _row(change: Change, limit: int) -> dict[str, Any]:
    before, after = shown(change, limit)
    return {
        "kind": str(change.kind),
        "element": change.element,
        "path": change.path,
        "before": before,
        "after": after,
        "severity": change.severity.name.lower(),
        "nature": str(change.nature),
    }
