"""Accepted risks: which waiver covers a finding at a moment. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

EVERY_TARGET = ""
# What scans.fingerprints makes, of this recipe and of those to come.
FINGERPRINT = r"^v[0-9]{1,3}:[0-9a-f]{64}$"


@dataclass(frozen=True, slots=True)
class AcceptedRisk:
    """A waiver as a judgement needs it. `target` is EVERY_TARGET, or one's name."""

    waiver_id: uuid.UUID
    fingerprint: str
    target: str
    reason: str
    created_by: str
    expires_at: datetime

    @property
    def is_for_all(self) -> bool:
        return self.target == EVERY_TARGET


def in_force(
    risks: Iterable[AcceptedRisk], *, target: str, at: datetime
) -> dict[str, AcceptedRisk]:
    """Return fingerprint -> the waiver that covers it on `target` at the moment `at`.

    A waiver ends with the moment it expires. Of several the widest is named, for what
    holds everywhere holds here too; of those the one that lasts longest.
    """
    chosen: dict[str, AcceptedRisk] = {}
    for risk in sorted(risks, key=_precedence, reverse=True):
        is_here = risk.is_for_all or risk.target == target
        if is_here and risk.expires_at > at:
            chosen.setdefault(risk.fingerprint, risk)
    return chosen


def _precedence(risk: AcceptedRisk) -> tuple[bool, datetime, str]:
    return risk.is_for_all, risk.expires_at, risk.waiver_id.hex
