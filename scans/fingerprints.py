"""The identity of a finding across scans. Pure: no ORM, no clock.

Recipe v1, stored for ever: SHA-256 of the RFC 8785 form of [scanner, rule, place inside
the target, element, evidence key, ordinal among equals]. Severity, words, line, byte
position, tool version and the target's name never enter: tools move and reword them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import rfc8785

from scanners.contract import ReportedFinding

VERSION = "v1"


def fingerprints(
    scanner: str, findings: Sequence[ReportedFinding], *, is_single_file: bool
) -> list[str]:
    """Return one fingerprint a finding, unique within the report, in its order.

    A file that came by itself is the target, whatever it is called: its name stays
    out, so that renaming it changes nothing. The only file of an archive and the only
    tool of a list have it in: a second one beside them is none of their business.
    """
    identities = [_identity(scanner, item, is_single_file) for item in findings]
    # Equals are counted in the order of their positions, not of the report.
    by_position = sorted(range(len(findings)), key=lambda i: _position(findings[i]))
    seen: Counter[tuple[str, ...]] = Counter()
    result = [""] * len(findings)
    for index in by_position:
        identity = identities[index]
        result[index] = _digest([*identity, seen[identity]])
        seen[identity] += 1
    return result


def _identity(
    scanner: str, finding: ReportedFinding, is_single_file: bool
) -> tuple[str, ...]:
    place = "" if is_single_file else _escaped(finding.location.path)
    member = _escaped(finding.location.member or "")
    return (
        scanner,
        finding.rule.rule,
        f"{place}!{member}" if member else place,
        finding.element,
        finding.evidence_key,
    )


def _escaped(path: str) -> str:
    """Keep `!` for what joins a file and its member: a file may be called `a.zip!b`."""
    return path.replace("%", "%25").replace("!", "%21")


def _position(finding: ReportedFinding) -> tuple[int, int, str]:
    # The words only order equals that have no position, whatever the report's order.
    place = finding.location
    return place.byte_offset or 0, place.line or 0, finding.title


def _digest(parts: list[str | int]) -> str:
    cleaned = [_storable(part) if isinstance(part, str) else part for part in parts]
    return f"{VERSION}:{hashlib.sha256(rfc8785.dumps(cleaned)).hexdigest()}"


def _storable(text: str) -> str:
    # Member names come from attackers and may hold lone surrogates, which no
    # canonical JSON can carry.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
