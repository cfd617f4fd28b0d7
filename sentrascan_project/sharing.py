"""gunicorn's threads, with the connections shared evenly among the processes.

All processes wait at one socket, and the kernel wakes whichever it likes: in a quiet
moment mostly the same one. A kept connection stays where it was taken, so that one
process answered all of 16 clients while the other slept. Here a process that has more
connections than another gives way for a moment; what nobody took then it takes itself.
"""

from __future__ import annotations

import math
import mmap
import time
from socket import socket
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

# For each connection more than another process has, and in steps that it may end at.
# A process that is free wakes up in a tenth of a step.
GIVE_WAY_SECONDS = 0.001
STEP_SECONDS = 0.0005
MOST_STEPS = 10
# A process says how many it has at least once a second; a dead one says nothing.
SILENT_SECONDS = 3.0
PLACES = 64
_FIELDS = 2

# Shared with every process that is forked later: when each spoke last, and what it has.
_board = memoryview(mmap.mmap(-1, PLACES * _FIELDS * 8)).cast("d")


class EvenWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """`gthread`, giving way to a process that has fewer connections."""

    def __init__(self, age: int, *others: Any) -> None:
        super().__init__(age, *others)
        self._place = age % PLACES

    def notify(self) -> None:
        """Tell the others, too, with each sign of life: at each turn of the loop."""
        super().notify()
        self._tell()

    def accept(self, listener: socket) -> None:
        give_way(self.nr_conns)
        super().accept(listener)
        self._tell()

    def _tell(self) -> None:
        # One that is about to stop takes none: nobody waits for it.
        say(self._place, self.nr_conns if self._accepting else math.inf)


def give_way(connections: int) -> None:
    """Wait while another process has fewer `connections`, the longer the more."""
    for turn in range(MOST_STEPS):
        if turn * STEP_SECONDS >= (connections - fewest()) * GIVE_WAY_SECONDS:
            return
        time.sleep(STEP_SECONDS)


def say(place: int, connections: float) -> None:
    _board[place * _FIELDS + 1] = connections
    _board[place * _FIELDS] = time.monotonic()


def fewest() -> float:
    """Return the connections of the process that has the fewest, of those that live."""
    alive_since = time.monotonic() - SILENT_SECONDS
    # Another may speak meanwhile: at worst somebody waits a moment for nothing.
    pairs = zip(_board[::_FIELDS], _board[1::_FIELDS], strict=True)
    return min((has for spoke, has in pairs if spoke >= alive_since), default=0)
