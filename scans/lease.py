"""Keeps a claimed scan ours while we work, and notices when it no longer is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from scans.models import Lease, Scan

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


class Heartbeat:
    """A thread that renews the lease and looks at the row once a second.

    `stop` is set when the scan was cancelled, deleted or given to another worker, or
    when the database could not be asked for as long as a lease lasts. `tell` is called
    at each look.
    """

    def __init__(self, lease: Lease, tell: Callable[[], None] = lambda: None) -> None:
        self.stop = threading.Event()
        self._tell = tell
        self._lease = lease
        self._over = threading.Event()
        self._thread = threading.Thread(
            target=self._beat, name=f"heartbeat-{lease.scan_id}", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        renewed = time.monotonic()
        try:
            while not self._over.wait(LOOK_SECONDS):
                now = time.monotonic()
                is_due = now - renewed >= settings.HEARTBEAT_SECONDS
                try:
                    is_held = self._renew() if is_due else self._look()
                    self._tell()
                except (DatabaseError, InterfaceError) as error:
                    logger.warning(
                        "Scan %s: no heartbeat: %s", self._lease.scan_id, error
                    )
                    connection.close()
                    is_held = now - renewed < settings.LEASE_SECONDS
                else:
                    renewed = now if is_due else renewed
                if not is_held:
                    self.stop.set()
                    return
        finally:
            connection.close()

    def _renew(self) -> bool:
        return Scan.objects.renew(self._lease, seconds=settings.LEASE_SECONDS)

    def _look(self) -> bool:
        return Scan.objects.held(self._lease).exists()
