"""The process beside a worker: started with it, watched, started again, ended with it.

It is what writes the worker's row, tries the scanners and keeps the warm hosts, all of
it in threads. The worker itself has none: Celery replaces a pool process by forking it,
and the fork of a process with threads inherits for ever whatever lock one of them held.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from contextlib import suppress
from threading import Lock
from typing import Any

from celery.worker.consumer import Consumer
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections

from scans import rulesets
from scans.models import Worker, worker_name
from scans.tasks import give_back

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
BEAT = b"."
END_SECONDS = 3.0
BACK_OFF_SECONDS = (1, 5, 30)
STEADY_SECONDS = 60


class Companion:
    """The worker's side of it; called by the worker's only thread until it leaves."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._name = worker_name(os.getpid())
        self._failures = 0
        self._started_at = self._start_at = 0.0
        self._leaving = Lock()
        self._is_gone = False

    def begin(self, sender: Consumer, **_: Any) -> None:
        """Start it, and look after it by the worker's own event loop."""
        self.look()
        sender.timer.call_repeatedly(LOOK_SECONDS, self.look)
        sender.timer.call_repeatedly(LOOK_SECONDS, self.beat)

    def beat(self) -> None:
        """Let it hear that this loop still turns; by that it says that we live."""
        if self.process is None or self.process.stdin is None:
            return
        # Full where it does not read, broken where it has ended: `look` sees to that.
        with suppress(OSError):
            os.write(self.process.stdin.fileno(), BEAT)

    def look(self) -> None:
        """Start it where it is not there; the scans go on without it meanwhile."""
        if self._is_gone:
            return
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            self._mourn(now, self.process.returncode)
            self._forget(self.process)
            self.process = None
        if self.process is None and now >= self._start_at:
            self._started_at = now
            self.process = subprocess.Popen(
                [
                    *(sys.executable, str(settings.BASE_DIR / "manage.py")),
                    *("worker", "--beside", str(os.getpid())),
                    *("--code", rulesets.loaded_code()),
                ],
                stdin=subprocess.PIPE,
                # Ctrl-C is for the worker, which ends it when its time has come.
                start_new_session=True,
            )
            if self.process.stdin is not None:
                os.set_blocking(self.process.stdin.fileno(), False)

    def leave(self, **_: Any) -> None:
        """End it, take the row away, give back what is at work: we end in peace."""
        with self._leaving:
            if self._is_gone:
                return
            self._is_gone = True
            if self.process is not None:
                self._end(self.process)
            for last in (Worker.objects.filter(pk=self._name).delete, self._give_back):
                try:
                    last()
                except (DatabaseError, InterfaceError) as error:
                    logger.warning("Worker %s leaves traces: %s", self._name, error)
            connections.close_all()

    def _give_back(self) -> None:
        give_back(self._name)

    def _mourn(self, now: float, code: int) -> None:
        if now - self._started_at > STEADY_SECONDS:
            self._failures = 0
        pause = BACK_OFF_SECONDS[min(self._failures, len(BACK_OFF_SECONDS) - 1)]
        self._failures += 1
        self._start_at = now + pause
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        logger.warning(
            "The process beside worker %s ended (%s); again in %s s",
            self._name,
            how,
            pause,
        )

    def _forget(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None:
            process.stdin.close()

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
        if process.poll() is None:
            process.kill()
            process.wait()
