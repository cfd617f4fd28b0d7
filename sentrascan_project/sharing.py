"""gunicorn's threads, with the connections shared evenly among the processes.

All processes wait at one socket, and the kernel wakes whichever it likes: in a quiet
moment mostly the same one. A kept connection stays where it was taken, so that one
process answered all of 16 clients while the other slept. Here a process that has more
connections than another gives way for a moment; what nobody took then it takes itself.

A process that comes later, at the start or in the place of one that ended, finds all
connections taken. So one that has clearly more than another lets a kept one go now and
then: its answer says `Connection: close` (RFC 9112, 9.6), and the client's next
connection goes to who has fewer.
"""

from __future__ import annotations

import math
import mmap
import selectors
import time
from concurrent.futures import Future
from functools import partial
from socket import SHUT_WR, socket
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

# For each connection more than another process has, and in steps that it may end at.
# A process that is free wakes up in a tenth of a step.
GIVE_WAY_SECONDS = 0.001
STEP_SECONDS = 0.0005
MOST_STEPS = 10
# Connections are let go so slowly that each has come back before the next goes.
PAUSE_SECONDS = 0.05
CLEARLY = 1 / 8
# For a client that does not close after a last answer; gunicorn waits as long.
LINGER_SECONDS = 2.0
DROPPED_BYTES = 1 << 16
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
        self._looks_at = 0.0
        self._leaving: set[Any] = set()

    def notify(self) -> None:
        """Tell the others, too, with each sign of life: at each turn of the loop."""
        super().notify()
        self._tell()

    def accept(self, listener: socket) -> None:
        give_way(self.nr_conns)
        super().accept(listener)
        self._tell()

    def on_client_socket_readable(self, conn: Any, client: socket) -> None:
        """Let a kept connection that asks again go after this answer, or not."""
        now = time.monotonic()
        if now >= self._looks_at:
            self._looks_at = now + PAUSE_SECONDS
            if has_clearly_more(self.nr_conns):
                self._leaving.add(conn)
        super().on_client_socket_readable(conn, client)

    def handle_request(self, req: Any, conn: Any) -> Any:
        if conn in self._leaving:
            req.force_close()
        return super().handle_request(req, conn)

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """Wait for the end of a connection among all others.

        gunicorn would wait in this one loop until the client closes, up to 2 s, while
        nobody else of the process is answered.
        """
        self._leaving.discard(conn)
        if fs.cancelled() or fs.exception() or fs.result():
            super().finish_request(conn, fs)
            return
        try:
            conn.sock.shutdown(SHUT_WR)
        except OSError:  # it has an end already
            self._end(conn)
            return
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + LINGER_SECONDS
        self.pending_conns.append(conn)
        ended = partial(self._on_ending_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, ended)

    def _on_ending_socket_readable(self, conn: Any, client: socket) -> None:
        """Drop what comes after the last answer; closed over it, that would be lost."""
        try:
            has_more = bool(client.recv(DROPPED_BYTES))
        except OSError:
            has_more = False
        if not has_more:
            self.poller.unregister(client)
            self.pending_conns.remove(conn)
            self._end(conn)

    def _end(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()

    def _tell(self) -> None:
        # One that is about to stop takes none: nobody waits for it.
        say(self._place, self.nr_conns if self._accepting else math.inf)


def give_way(connections: int) -> None:
    """Wait while another process has fewer `connections`, the longer the more."""
    for turn in range(MOST_STEPS):
        if turn * STEP_SECONDS >= (connections - fewest()) * GIVE_WAY_SECONDS:
            return
        time.sleep(STEP_SECONDS)


def has_clearly_more(connections: int) -> bool:
    """Whether one of `connections` is better with another process, and not for long."""
    return connections - fewest() > 1 + connections * CLEARLY


def say(place: int, connections: float) -> None:
    _board[place * _FIELDS + 1] = connections
    _board[place * _FIELDS] = time.monotonic()


def fewest() -> float:
    """Return the connections of the process that has the fewest, of those that live.

    Infinity without any: nobody waits for a process that is not there.
    """
    alive_since = time.monotonic() - SILENT_SECONDS
    # Another may speak meanwhile: at worst somebody waits a moment for nothing.
    pairs = zip(_board[::_FIELDS], _board[1::_FIELDS], strict=True)
    return min((has for spoke, has in pairs if spoke >= alive_since), default=math.inf)
