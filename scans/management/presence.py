"""A worker process's row: that it lives, and what its scanners can do here."""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from types import FrameType
from typing import Any

from django.db import DatabaseError, InterfaceError, connections
from django.utils import timezone

from scanners.contract import ScanStopped
from scanners.hosts import Hosts
from scans import reuse, rulesets, warmth
from scans.detection import detect_all
from scans.management import recollection
from scans.management.recollection import AGAIN_SECONDS
from scans.models import Scan, Worker, worker_name
from scans.sandboxing import chosen_rung

logger = logging.getLogger(__name__)

EVERY_SECONDS = 10
# A worker beats every second. One that is stopped, or whose loop hangs or waits for its
# broker, takes no scan: nobody says of it that it lives, and its row grows old.
SILENT_SECONDS = 10
START_SECONDS = 3
CALM_SECONDS = 20
# A scanner that stopped detecting shows within ten minutes (`AGAIN_SECONDS`); one that
# failed on a busy host is tried again soon.
DOUBT_SECONDS = 30
LOOK_SECONDS = 0.2
# Then whoever still waits for a database or a tool is ended by the kernel.
PATIENCE_SECONDS = 10


def keep_beside(worker: int, code: str) -> None:
    """Tell of our parent, the worker, until it asks for the end or is gone."""
    is_asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal is_asked
        is_asked = True

    signal.signal(signal.SIGTERM, ask)
    if os.getppid() != worker:
        return  # it has left already, and its row with it
    presence = Presence(worker_name(worker), warmth.keeper(worker), code)
    presence.start()
    while not is_asked and os.getppid() == worker:
        if heard(sys.stdin.fileno()):
            presence.heard_at = time.monotonic()
    signal.alarm(PATIENCE_SECONDS)
    presence.stop()


def heard(pipe: int) -> bool:
    """Wait a moment for the worker's heartbeat; read all that has come of it."""
    if not select.select([pipe], [], [], LOOK_SECONDS)[0]:
        return False
    if os.read(pipe, 65_536):
        return True
    time.sleep(LOOK_SECONDS)  # closed: the worker is leaving
    return False


class Presence:
    """The threads that tell of a worker, in the process beside it (`companion`).

    With them come the warm hosts, if there are to be any. `code` is what the worker
    has loaded (`rulesets.loaded_code`).
    """

    def __init__(self, name: str, hosts: Hosts | None = None, code: str = "") -> None:
        self.name = name
        self.heard_at = time.monotonic()
        self._hosts = hosts
        # Started again after a release was put under a running worker, we have code
        # that its scans do not rest on.
        self._is_of_worker = not code or code == rulesets.loaded_code()
        self._is_over = threading.Event()
        self._writing = threading.Lock()
        self._scanners: dict[str, Any] = {}
        self._threads = [
            threading.Thread(target=self._beat, name="presence", daemon=True),
            threading.Thread(target=self._detect, name="detection", daemon=True),
        ]

    def start(self) -> None:
        if not self._is_of_worker:
            logger.error("The code under worker %s has changed: restart it", self.name)
        if self._hosts is not None:
            self._hosts.start()
        self._scanners = recollection.recall(self._rules(), chosen_rung().name)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the hosts and write no more. The row is the worker's to take away."""
        self._is_over.set()
        if self._hosts is not None:
            self._hosts.stop()
        with self._writing:
            pass  # whoever is writing has written

    def _beat(self) -> None:
        started_at = timezone.now()
        is_silent = False
        while not self._is_over.is_set():
            was_silent, is_silent = is_silent, self._is_silent()
            if not is_silent:
                self._write_or_warn(lambda: self._upsert(started_at))
            elif not was_silent:
                logger.error("Worker %s does not move: it ages", self.name)
            self._is_over.wait(EVERY_SECONDS)

    def _is_silent(self) -> bool:
        return time.monotonic() - self.heard_at > SILENT_SECONDS

    def _upsert(self, started_at: datetime) -> None:
        if self._is_over.is_set():
            return  # a row written now would outlive us
        Worker.objects.update_or_create(
            name=self.name,
            defaults={
                "started_at": started_at,
                "seen_at": timezone.now(),
                "sandbox": chosen_rung().name,
                "rules": self._rules(),
                "scanners": self._seen(),
            },
        )

    def _rules(self) -> str:
        return rulesets.of_this_process() if self._is_of_worker else ""

    def _is_idle(self) -> bool:
        try:
            return not Scan.objects.at_work(self.name).exists()
        except (DatabaseError, InterfaceError):
            return False
        finally:
            connections.close_all()

    def _detect(self) -> None:
        if self._scanners and self._is_over.wait(self._trusted_seconds()):
            return
        # Scans that waited for this worker go first; a few seconds later all is calm.
        for second in range(CALM_SECONDS):
            if self._is_over.wait(1):
                return
            is_warm = "starting" not in self._warmth().values()
            if second >= START_SECONDS and is_warm and self._is_idle():
                break
        while self._try_scanners():
            is_well = all(
                one["status"] == "available" for one in self._scanners.values()
            )
            if self._is_over.wait(AGAIN_SECONDS if is_well else DOUBT_SECONDS):
                return

    def _trusted_seconds(self) -> float:
        """How long what the worker before us gave may still be believed."""
        oldest = min(one["tried_at"] for one in self._scanners.values())
        return max(0.0, float(oldest) + AGAIN_SECONDS - time.time())

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
        recollection.keep(self._rules(), chosen_rung().name, self._scanners)
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
            # None is held for the seconds until the next.
            connections.close_all()
