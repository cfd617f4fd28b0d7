"""Bytes between two connections, in both directions, counted and looked at."""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Callable, Mapping

from scanners.attending import SLICE_SECONDS

CHUNK = 64 << 10


class Marks:
    """Texts that must not get out, and how each is called."""

    def __init__(self, marks: Mapping[bytes, str]) -> None:
        self._names = dict(marks)
        self._pattern = re.compile(b"|".join(map(re.escape, self._names)) or b"(?!)")
        self.longest = max(map(len, self._names), default=0)

    def names_in(self, text: bytes) -> set[str]:
        return {self._names[found] for found in self._pattern.findall(text)}


class Relay:
    """Carries what `client` and `far` say to each other until `far` has ended.

    `spend` is told of every piece, and at least five times a second; `watch` sees what
    goes out, `admit` its first piece, before `far` is listened to. Each may raise.
    """

    def __init__(
        self,
        client: socket.socket,
        far: socket.socket,
        *,
        spend: Callable[[int], None],
        watch: Callable[[bytes], None],
        overlap: int,
        idle_seconds: float,
    ) -> None:
        self._client, self._far = client, far
        self._spend, self._watch = spend, watch
        self._overlap, self._tail = overlap, b""
        self._idle_seconds = idle_seconds

    def carry(self, first: bytes, admit: Callable[[bytes], None] | None) -> None:
        """Raise `OSError`, `TimeoutError` for a silence among them."""
        listened_to = {self._client} if admit else {self._client, self._far}
        if first:
            if admit:
                admit(first)
            listened_to.add(self._far)
            self._send_out(first)
        while listened_to:
            for side in self._ready(listened_to):
                piece = side.recv(CHUNK)
                if side is self._far:
                    if not piece:
                        return
                    self._spend(len(piece))
                    self._client.sendall(piece)
                elif piece:
                    if admit and self._far not in listened_to:
                        admit(piece)
                        listened_to.add(self._far)
                    self._send_out(piece)
                else:
                    listened_to.discard(self._client)
                    self._far.shutdown(socket.SHUT_WR)

    def _send_out(self, piece: bytes) -> None:
        self._spend(len(piece))
        text = self._tail + piece
        self._watch(text)
        self._tail = text[-self._overlap :] if self._overlap else b""
        self._far.sendall(piece)

    def _ready(self, sides: set[socket.socket]) -> list[socket.socket]:
        """Wait for the next side that has something; raise `TimeoutError`."""
        by_number = {side.fileno(): side for side in sides}
        poll = select.poll()
        for number in by_number:
            poll.register(number, select.POLLIN)
        until = time.monotonic() + self._idle_seconds
        while time.monotonic() < until:
            self._spend(0)
            found = poll.poll(SLICE_SECONDS * 1000)
            if found:
                return [by_number[number] for number, _ in found]
        raise TimeoutError("nothing was said for too long")
