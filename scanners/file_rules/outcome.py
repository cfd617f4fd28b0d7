"""What the program says of one file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    SCANNED = "scanned"  # examined to its last byte
    INERT = "inert"  # recognised by content as nothing that can act
    FAILED = "failed"  # ours by name or content, yet not examined
    UNCLAIMED = "unclaimed"  # not a format of ours


@dataclass(frozen=True, slots=True)
class Match:
    """One rule that matched at one place of a file.

    `place` is a JSON pointer, or `line N` of a text; `texts` are the distinct pieces
    that matched, in order.
    """

    rule: str
    place: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`is_identified`: parsed to its last byte as `format`, so it is nothing else."""

    status: Status
    format: str = ""
    reason: str = ""
    matches: tuple[Match, ...] = ()
    is_identified: bool = False


UNCLAIMED = Outcome(Status.UNCLAIMED)


def failed(reason: str, matches: tuple[Match, ...] = (), format: str = "") -> Outcome:
    return Outcome(Status.FAILED, format=format, reason=reason, matches=matches)
