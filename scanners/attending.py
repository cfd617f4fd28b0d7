"""Threads that serve connections until all of them are to end, and then do end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

SLICE_SECONDS = 0.2  # how soon a thread that waits looks whether it is over


class Attendants:
    """All that serves for one run. `lock` is also for what they share."""

    def __init__(self, name: str) -> None:
        self.lock = threading.Lock()
        self._name = name
        self._over = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    @property
    def held(self) -> int:
        """How many sockets are held now."""
        return len(self._open)

    def start(self, act: Callable[..., None], *arguments: socket.socket) -> None:
        """Call `act` in a thread of its own."""

        def run() -> None:
            try:
                act(*arguments)
            finally:
                with self.lock:
                    self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, daemon=True, name=self._name)
        with self.lock:  # whoever ends us may wait only for what was started
            thread.start()
            self._threads.add(thread)

    def hold(self, one: socket.socket) -> None:
        with self.lock:
            self._open.add(one)

    def let_go(self, one: socket.socket) -> None:
        with self.lock:
            self._open.discard(one)

    @contextmanager
    def holding(self, one: socket.socket) -> Iterator[None]:
        """While in here, the end of all shuts this socket down."""
        self.hold(one)
        try:
            yield
        finally:
            self.let_go(one)

    def end(self) -> None:
        """Return when no thread is left. Each looks up between two short waits."""
        self._over.set()
        while threads := self._threads.copy():
            with self.lock:
                for each in self._open:  # a thread that sends would not look up
                    with suppress(OSError):
                        each.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(SLICE_SECONDS)
