"""Caches that also count, in one step that all processes see.

Django's `add()` and `incr()` are three round trips to Redis, and on files an update is
lost whenever two processes meet; every request of the API pays for them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from django.core.cache import cache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.redis import RedisCache
from redis import Redis

from sentrascan_project.tallies import Tallies

COUNTS = "counts"
# Of all threads: Django gives each its own cache.
tallies = Tallies()


class CountingRedisCache(RedisCache):
    def count(self, name: str, window: int, seconds: int, quota: int = 0) -> int:
        """Count one more `name` in this window of so many seconds; return how many."""

        def tell(more: int) -> int:
            return self._add(f"{name}:{window}", more, seconds)

        return tallies.add(name, window, quota, tell)

    def _add(self, name: str, more: int, seconds: int) -> int:
        key = self.make_and_validate_key(name)
        counted: int = self._writer.incr(key, more)
        if counted == more:
            # Who dies in between leaves 60 bytes behind; no later window uses the name.
            self._writer.expire(key, seconds + 1)
        return counted

    @cached_property
    def _writer(self) -> Redis:
        # Django makes a client for each call, which takes longer than the call.
        writer: Redis = self._cache.get_client(None, write=True)
        return writer


class CountingFileCache(FileBasedCache):
    """A count is the size of a file: the kernel appends one byte at a time."""

    _dir: str

    def count(self, name: str, window: int, seconds: int, quota: int = 0) -> int:
        folder = Path(self._dir) / COUNTS
        path = folder / f"{name}.{window}"
        try:
            counted = _append(path)
        except FileNotFoundError:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            counted = _append(path)
        if counted == 1:
            for old in _others(path):
                old.unlink(missing_ok=True)
        return counted

    def clear(self) -> None:
        super().clear()
        with suppress(FileNotFoundError):
            for path in (Path(self._dir) / COUNTS).iterdir():
                path.unlink(missing_ok=True)


def count(name: str, window: int, seconds: int, quota: int = 0) -> int:
    """Count one more in this window, in whichever cache is configured.

    With a `quota` a hundredth of it may be missing for each other process: see tallies.
    """
    if counts := getattr(cache, "count", None):
        counted: int = counts(name, window, seconds, quota)
        return counted
    key = f"{name}:{window}"
    if cache.add(key, 1, timeout=seconds + 1):
        return 1
    try:
        return cache.incr(key)
    except ValueError:
        return 1  # it expired in between: a new window has begun


def _append(path: Path) -> int:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, b".")
        return os.fstat(file).st_size
    finally:
        os.close(file)


def _others(path: Path) -> Iterator[Path]:
    """Yield the counts of the same name in other windows."""
    return (other for other in path.parent.glob(f"{path.stem}.*") if other != path)
