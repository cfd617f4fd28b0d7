"""How often an address may present a key that is not good.

Counted in the cache that all replicas share, in windows of a minute by the clock. Only
failures come here: a good key pays nothing, and a neighbour's bad one cannot lock it
out. While the cache is away each process counts for itself, and asks the cache again
only after a pause, so that nobody waits for it at every attempt.
"""

from __future__ import annotations

import logging
import math
import threading
import time
import zlib
from collections import Counter
from pickle import PickleError

from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError

from apikeys.addresses import block_of

WINDOW_SECONDS = 60
CACHE_PAUSE_SECONDS = 30
_MAX_BLOCKS = 10_000

# A server that is away, a full disk, a torn file, an entry gone before its incr().
CACHE_ERRORS = (RedisError, OSError, EOFError, PickleError, zlib.error, ValueError)

logger = logging.getLogger(__name__)


def retry_after(address: str) -> int | None:
    """Count one failure of `address`; return the seconds to wait if it is too many."""
    now = time.time()
    window = int(now // WINDOW_SECONDS)
    failures = _counts.add(block_of(address), window)
    if failures <= settings.AUTH_FAILURES_PER_MINUTE:
        return None
    return max(1, math.ceil((window + 1) * WINDOW_SECONDS - now))


class _FailureCounts:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._own: Counter[str] = Counter()
        self._own_window = 0
        self._cache_away_until = 0.0

    def add(self, block: str, window: int) -> int:
        # The own count is the floor: a cache may forget (culling, DummyCache).
        own = self._add_own(block, window)
        if time.monotonic() < self._cache_away_until:
            return own
        try:
            return max(own, self._add_shared(f"auth-failures:{block}:{window}"))
        except CACHE_ERRORS as error:
            self._cache_away_until = time.monotonic() + CACHE_PAUSE_SECONDS
            logger.warning(
                "The cache is away, failed keys are counted per process: %s", error
            )
            return own

    def _add_shared(self, key: str) -> int:
        if cache.add(key, 1, timeout=2 * WINDOW_SECONDS):
            return 1
        return cache.incr(key)

    def _add_own(self, block: str, window: int) -> int:
        with self._lock:
            if window != self._own_window or len(self._own) >= _MAX_BLOCKS:
                self._own.clear()
                self._own_window = window
            self._own[block] += 1
            return self._own[block]

    def reset(self) -> None:
        """Forget what this process counted, and that the cache was away."""
        with self._lock:
            self._own.clear()
            self._cache_away_until = 0.0


_counts = _FailureCounts()
reset = _counts.reset
