"""A worker process's row: that it lives, and what its scanners can do here."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from celery.worker import state
from django.db import DatabaseError, InterfaceError, connections
from django.utils import timezone

from scanners.contract import ScanStopped
from scanners.hosts import Hosts
from scans import reuse, rulesets
from scans.detection import detect_all
from scans.models import Worker
from scans.sandboxing import chosen_rung
from scans.tasks import give_back

logger = logging.getLogger(__name__)

EVERY_SECONDS = 10
START_SECONDS = 3
CALM_SECONDS = 20
# A scanner that stopped detecting shows within ten minutes; one that failed on a busy
# host is tried again soon.
AGAIN_SECONDS = 600
DOUBT_SECONDS = 30


class Presence:
    """Threads of the worker's main process: they start once its pool has forked.

    With them come the warm hosts, if there are to be any.
    """

    def __init__(self, name: str, hosts: Hosts | None = None) -> None:
        self.name = name
        self._hosts = hosts
        self._is_over = threading.Event()
        self._writing = threading.Lock()
        self._scanners: dict[str, Any] = {}
        self._threads = [
            threading.Thread(target=self._beat, name="presence", daemon=True),
            threading.Thread(target=self._detect, name="detection", daemon=True),
        ]

    def start(self, **_: Any) -> None:
        if self._hosts is not None:
            self._hosts.start()
        for thread in self._threads:
            thread.start()

    def stop(self, **_: Any) -> None:
        """Take the row away and give back what is at work: this one ends in peace."""
        self._is_over.set()
        if self._hosts is not None:
            self._hosts.stop()
        self._write_or_warn(lambda: Worker.objects.filter(pk=self.name).delete())
        self._write_or_warn(lambda: give_back(self.name))

    def _beat(self) -> None:
        started_at = timezone.now()
        while not self._is_over.is_set():
            self._write_or_warn(lambda: self._upsert(started_at))
            self._is_over.wait(EVERY_SECONDS)

    def _upsert(self, started_at: datetime) -> None:
        if self._is_over.is_set():
            return  # a row written now would outlive us
        Worker.objects.update_or_create(
            name=self.name,
            defaults={
                "started_at": started_at,
                "seen_at": timezone.now(),
                "sandbox": chosen_rung().name,
                "rules": rulesets.of_this_process(),
                "scanners": self._seen(),
            },
        )

    def _detect(self) -> None:
        # Scans that waited for this worker go first; a few seconds later all is calm.
        for second in range(CALM_SECONDS):
            if self._is_over.wait(1):
                return
            is_calm = second >= START_SECONDS and not state.active_requests
            if is_calm and "starting" not in self._warmth().values():
                break
        while self._try_scanners():
            is_well = all(
                one["status"] == "available" for one in self._scanners.values()
            )
            if self._is_over.wait(AGAIN_SECONDS if is_well else DOUBT_SECONDS):
                return

    def _try_scanners(self) -> bool:
        """Write what each scanner's detection gave; False when we are to leave."""
        try:
            found = detect_all(self._is_over)
        except ScanStopped:
            return False
        before = {name: told["status"] for name, told in self._scanners.items()}
        self._scanners = {
            one.scanner: {
                "status": one.status,
                "version": one.version,
                "reason": one.reason,
                "tried_at": time.time(),
            }
            for one in found
        }
        for one in found:
            if not one.is_available:
                logger.error("%s is %s here: %s", one.scanner, one.status, one.reason)
            # What is missing said nothing. Once more when it is well again: scans went
            # on meanwhile.
            if "broken" in (one.status, before.get(one.scanner, "")):
                self._write_or_warn(partial(reuse.forget, one.scanner))
        self._write_or_warn(
            lambda: Worker.objects.filter(pk=self.name).update(scanners=self._seen())
        )
        return True

    def _seen(self) -> dict[str, Any]:
        """Return what each detection gave, and how warm the tool is now."""
        warmth = self._warmth()
        return {
            name: {**told, "host": warmth.get(name, "")}
            for name, told in self._scanners.items()
        }

    def _warmth(self) -> dict[str, str]:
        return self._hosts.states() if self._hosts is not None else {}

    def _write_or_warn(self, write: Callable[[], object]) -> None:
        try:
            with self._writing:
                write()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Worker %s cannot write its row: %s", self.name, error)
        finally:
            # No connection is open when the pool forks a new child.
            connections.close_all()
