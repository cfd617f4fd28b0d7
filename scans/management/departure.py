"""How a worker process leaves: asked once, gone within seconds."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from celery.worker import state

logger = logging.getLogger(__name__)

# An idle one has nothing to finish, though Celery's own loop may take seconds to see
# the request; one at work may finish within what an operator waits (10 s).
IDLE_SECONDS = 1.0
PATIENCE_SECONDS = 5.0
LOOK_SECONDS = 0.2


class Departure:
    """Ends a warm shutdown that takes too long; for `worker_shutting_down`.

    Celery's cold shutdown is no help: it waits on for the tasks it has cancelled.
    Scans at work are given back by their leases.
    """

    def __init__(self, last_words: Callable[[], None] = lambda: None) -> None:
        self._last_words = last_words

    def begin(self, **_: Any) -> None:
        threading.Thread(target=self._leave, name="departure", daemon=True).start()

    def _leave(self) -> None:
        started = time.monotonic()
        time.sleep(IDLE_SECONDS)
        while state.active_requests and time.monotonic() - started < PATIENCE_SECONDS:
            time.sleep(LOOK_SECONDS)
        if at_work := len(state.active_requests):
            logger.warning("Ending with %s tasks at work; they run again", at_work)
        self._last_words()
        # The kernel kills the pool with us (PDEATHSIG), and every tool's supervisor
        # kills its tool when the pool's end of the pipe closes.
        os._exit(0)
