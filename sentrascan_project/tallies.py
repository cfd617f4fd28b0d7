"""What this process has counted, told to the others a moment later.

To ask Redis at each request was a seventh of what a verdict costs. So a process keeps
what it counted for at most 50 ms and at most a hundredth of the quota. From nine tenths
of the quota on it keeps nothing. A limit holds to a hundredth for each process: what it
kept is all that the others could not know. Below a quota of 200 nothing is ever kept.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

KEPT_SECONDS = 0.05
PARTS = 100
EXACT_FROM = 0.9
# Names of keys: more have never been seen, and forgetting them costs a hundredth once.
_MAX_NAMES = 10_000


@dataclass(slots=True)
class _Tally:
    """One name in one window: `known` of all, our own among it; `kept` is untold."""

    window: int
    known: int = 0
    kept: int = 0
    told_at: float = float("-inf")

    def is_due(self, quota: int, now: float) -> bool:
        return (
            self.kept >= quota // PARTS
            or now - self.told_at >= KEPT_SECONDS
            or self.known + self.kept >= quota * EXACT_FROM
        )


class Tallies:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tallies: dict[str, _Tally] = {}

    def add(
        self, name: str, window: int, quota: int, tell: Callable[[int], int]
    ) -> int:
        """Count one more; return how many are known of.

        `tell` adds what was kept to the count of all processes and returns that.
        """
        now = time.monotonic()
        with self._lock:
            tally = self._of(name, window)
            tally.kept += 1
            if not tally.is_due(quota, now):
                return tally.known + tally.kept
            more, tally.kept = tally.kept, 0
            tally.known += more
            tally.told_at = now
        # Others go on counting meanwhile: nobody holds the lock while Redis is asked.
        counted = tell(more)
        with self._lock:
            tally.known = max(tally.known, counted)
        return counted

    def _of(self, name: str, window: int) -> _Tally:
        tally = self._tallies.get(name)
        if tally is None or tally.window != window:
            if len(self._tallies) >= _MAX_NAMES:
                self._tallies.clear()
            tally = self._tallies[name] = _Tally(window)
        return tally
