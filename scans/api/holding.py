"""Requests that are held until a scan is finished.

Each holds one thread of the web process: at most half of them may be held, so that the
other half answers everybody else. No database connection is held between two looks.
"""

from __future__ import annotations

import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import cache

import orjson
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from scans.exports.shapes import Row, read_scan, read_scan_detail
from scans.models import FINISHED, Scan

logger = logging.getLogger(__name__)

MAX_WAIT_SECONDS = 60
FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.1, 0.5, 1.3
# A client that went away is noticed at the second write after it.
HEARTBEAT_SECONDS = 2.0
# A client that still listens then comes again (`retry`), on whichever thread is free.
STREAM_SECONDS = 900.0
_WAIT = re.compile(r'wait\s*=\s*"?(\d{1,6})"?')


@cache
def slots() -> threading.BoundedSemaphore:
    """This process's places for held requests."""
    return threading.BoundedSemaphore(settings.WEB_THREADS // 2)


def wanted_wait(prefer: str) -> int:
    """Return the seconds of `Prefer: wait=N` (RFC 7240), at most 60, 0 without."""
    for preference in re.split(r"[,;]", prefer):
        if match := _WAIT.fullmatch(preference.strip().lower()):
            return min(int(match[1]), MAX_WAIT_SECONDS)
    return 0


@contextmanager
def slot() -> Iterator[bool]:
    """Hold a place for the block; False when none is free."""
    is_held = slots().acquire(blocking=False)
    try:
        yield is_held
    finally:
        if is_held:
            slots().release()


def wait_until_finished(scan_id: uuid.UUID, seconds: int) -> bool:
    """Return whether the scan finished within the time and a place was free."""
    if not seconds:
        return False
    until = time.monotonic() + seconds
    with slot() as is_held:
        while is_held:
            if _is_finished(scan_id):
                return True
            left = until - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, _pause(seconds - left)))
    return False


def _is_finished(scan_id: uuid.UUID) -> bool:
    try:
        scan = Scan.objects.filter(pk=scan_id)
        return scan.filter(scan_status__in=FINISHED).exists() or not scan.exists()
    finally:
        connection.close()


def _pause(waited: float) -> float:
    return min(LONGEST_PAUSE, max(FIRST_PAUSE, waited * (GROWTH - 1)))


class EventStream:
    """Server-sent events of one scan; takes over a place and gives it back in `close`.

    An iterator class and not a generator: `close` of a generator that was never
    started runs nothing, and the place would be lost.

    `write` says what is sent for an event's name and scan.
    """

    def __init__(
        self,
        scan_id: uuid.UUID,
        *,
        has_slot: bool,
        write: Callable[[str, Row], bytes] | None = None,
    ) -> None:
        self._scan_id = scan_id
        self._has_slot = has_slot
        self._write = write or event
        self._lock = threading.Lock()
        self._events = self._run()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._events)

    def close(self) -> None:
        self._events.close()
        with self._lock:
            if self._has_slot:
                self._has_slot = False
                slots().release()

    def _run(self) -> Generator[bytes]:
        yield b"retry: 2000\n\n"
        started = spoken = time.monotonic()
        last: Row | None = None
        while time.monotonic() - started < STREAM_SECONDS:
            try:
                scan = self._look()
            except (OperationalError, InterfaceError) as error:
                logger.warning("Events of scan %s end: %s", self._scan_id, error)
                return
            if scan is None:
                yield self._write("deleted", {"scan_id": self._scan_id})
                return
            if scan["scan_status"] in FINISHED:
                yield self._write("finished", scan)
                return
            now = time.monotonic()
            if scan != last:
                last, spoken = scan, now
                yield self._write("progress", scan)
            elif now - spoken >= HEARTBEAT_SECONDS:
                spoken = now
                yield b": still here\n\n"
            time.sleep(_pause(now - started))

    def _look(self) -> Row | None:
        try:
            scan = read_scan(self._scan_id)
            if scan and scan["scan_status"] in FINISHED:
                return read_scan_detail(self._scan_id)
            return scan
        finally:
            connection.close()


def event(name: str, data: Row) -> bytes:
    """Return one event; JSON has no line break, so one `data` line holds it."""
    body = orjson.dumps(data, option=orjson.OPT_UTC_Z)
    return b"event: " + name.encode() + b"\ndata: " + body + b"\n\n"
