"""How far a scan is, told while it runs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping

from django.db import DatabaseError, InterfaceError, connection

from scanners.contract import ScanStopped
from scanners.workspace import WorkspaceError
from scans.models import Lease, Scan, ScanDetail

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 0.5  # between two writes: what takes less time writes nothing


class Meter:
    """The checkpoint of one fetch: counts its bytes, and ends it when it must end.

    `deadline` is by the monotonic clock. The row's total is 0 until it is known.
    """

    def __init__(self, lease: Lease, stop: threading.Event, deadline: float) -> None:
        self._lease = lease
        self._stop = stop
        self._deadline = deadline
        self._total = 0
        self._done = 0
        self._told = time.monotonic()

    def expect(self, total: int) -> None:
        self._total = total

    def __call__(self, moved: int = 0, /) -> None:
        """Raises `ScanStopped`, `WorkspaceError`."""
        if self._stop.is_set():
            raise ScanStopped
        now = time.monotonic()
        if now > self._deadline:
            raise WorkspaceError("fetching it took longer than the scan may")
        self._done += moved
        if moved and now - self._told >= PAUSE_SECONDS:
            self._told = now
            self._tell()

    def _tell(self) -> None:
        try:
            Scan.objects.report_fetched(self._lease, self._done, self._total)
        except (DatabaseError, InterfaceError) as failure:
            # The heartbeat decides how long a scan lives without its row.
            logger.warning("Scan %s: no progress: %s", self._lease.scan_id, failure)
            connection.close()


class AtWork:
    """Which scanners are at work, and how each turn ended.

    Threads note it; the heartbeat tells it, so that a scan that is over within a second
    writes nothing.
    """

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._lock = threading.Lock()
        self._seen: dict[str, str] = {}
        self._told: dict[str, str] = {}

    def note(self, states: Mapping[str, str]) -> None:
        with self._lock:
            self._seen = self._seen | dict(states)

    def tell(self) -> None:
        """Write what has changed since the last time; raises `DatabaseError`."""
        seen = self._seen
        if seen == self._told:
            return
        held = Scan.objects.held(self._lease)
        ScanDetail.objects.filter(scan__in=held).update(at_work=seen)
        self._told = seen
