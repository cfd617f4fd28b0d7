"""A worker process's row: that it lives, and what its scanners can do here."""

from __future__ import annotations

import logging
import os
import socket
import threading
from typing import Any

from celery.worker import state
from django.db import DatabaseError, InterfaceError, connections
from django.utils import timezone

from scanners.contract import ScanStopped
from scans.detection import detect_all
from scans.models import Worker
from scans.sandboxing import chosen_rung

logger = logging.getLogger(__name__)

EVERY_SECONDS = 10
START_SECONDS = 3
CALM_SECONDS = 20
# Warm shutdown waits for the scans at work; an operator waits 10 s.
PATIENCE_SECONDS = 5


def worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


class Presence:
    """Threads of the worker's main process: they start once its pool has forked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._is_over = threading.Event()
        self._scanners: dict[str, Any] = {}
        self._threads = [
            threading.Thread(target=self._beat, name="presence", daemon=True),
            threading.Thread(target=self._detect, name="detection", daemon=True),
        ]

    def start(self, **_: Any) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, **_: Any) -> None:
        """Take the row away: this worker ended in peace."""
        self._is_over.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=1)
        self._remove_row()

    def hurry(self, **_: Any) -> None:
        """Bound a warm shutdown: scans that take longer are given back by their leases.

        Celery's own cold shutdown waits on for the tasks it has cancelled.
        """
        self._is_over.set()
        timer = threading.Timer(PATIENCE_SECONDS, self._leave)
        timer.daemon = True
        timer.start()

    def _leave(self) -> None:
        at_work = len(state.active_requests)
        logger.warning(
            "Worker %s ends with %s scans at work; they run again", self.name, at_work
        )
        self._remove_row()
        # The kernel kills the pool with us (PDEATHSIG), and every tool's supervisor
        # kills its tool when the pool's end of the pipe closes.
        os._exit(0)

    def _remove_row(self) -> None:
        self._write_or_warn(lambda: Worker.objects.filter(pk=self.name).delete())

    def _beat(self) -> None:
        started_at = timezone.now()
        while True:
            self._write_or_warn(lambda: self._upsert(started_at))
            if self._is_over.wait(EVERY_SECONDS):
                return

    def _upsert(self, started_at: Any) -> None:
        Worker.objects.update_or_create(
            name=self.name,
            defaults={
                "started_at": started_at,
                "seen_at": timezone.now(),
                "sandbox": chosen_rung().name,
                "scanners": self._scanners,
            },
        )

    def _detect(self) -> None:
        # Scans that waited for this worker go first; a few seconds later all is calm.
        for second in range(CALM_SECONDS):
            if self._is_over.wait(1):
                return
            if second >= START_SECONDS and not state.active_requests:
                break
        try:
            found = detect_all(self._is_over)
        except ScanStopped:
            return
        self._scanners = {
            one.scanner: {
                "status": one.status,
                "version": one.version,
                "reason": one.reason,
            }
            for one in found
        }
        for one in found:
            if not one.is_available:
                logger.error("%s is %s here: %s", one.scanner, one.status, one.reason)
        self._write_or_warn(
            lambda: Worker.objects.filter(pk=self.name).update(scanners=self._scanners)
        )

    def _write_or_warn(self, write: Any) -> None:
        try:
            write()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Worker %s cannot write its row: %s", self.name, error)
        finally:
            # No connection is open when the pool forks a new child.
            connections.close_all()
