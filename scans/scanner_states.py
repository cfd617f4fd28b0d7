"""Does each scanner detect, by what the live workers last saw of it?"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scanners.registry import SCANNERS
from scans.models import Worker

# A worker tries each one every ten minutes. What it saw long ago proves nothing: the
# thread that tries may be what broke.
BELIEVED_SECONDS = 1800
UNTRIED = "no live worker has tried it lately"


@dataclass(frozen=True, slots=True)
class ScannerState:
    """One scanner in one version; `reason` is empty where it detects."""

    scanner: str
    version: str
    reason: str

    @property
    def is_up(self) -> bool:
        return not self.reason


def scanner_states(workers: Iterable[Worker]) -> list[ScannerState]:
    """Return each scanner's state, once a version, as bad as on its worst worker.

    A worker that has not tried it yet (it may just have started) says nothing.
    """
    live = list(workers)
    states = []
    for name in sorted(SCANNERS):
        seen = [told for worker in live if (told := _believed(worker, name))]
        if not seen:
            states.append(ScannerState(name, "", UNTRIED))
        for version in sorted({told.get("version", "") for told in seen}):
            same = [told for told in seen if told.get("version", "") == version]
            states.append(ScannerState(name, version, _worst(same)))
    return states


def _believed(worker: Worker, name: str) -> Mapping[str, Any] | None:
    told: Mapping[str, Any] | None = worker.scanners.get(name)
    if not told:
        return None
    # Workers of an older release do not say when.
    tried_at = told.get("tried_at", time.time())
    return told if time.time() - tried_at < BELIEVED_SECONDS else None


def _worst(seen: Iterable[Mapping[str, Any]]) -> str:
    bad = [str(told["status"]) for told in seen if told["status"] != "available"]
    return bad[0] if bad else ""
