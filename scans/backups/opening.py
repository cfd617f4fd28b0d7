"""Opens a file as the kind of backup that it is, and examines all of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from scans.backups.dump import Dump, is_dump
from scans.backups.sources import Archive, Source
from scans.backups.taking import Watch


@contextmanager
def opened(path: Path, watch: Watch) -> Iterator[Source]:
    """Yield the backup in `path`, read once from end to end. Raises `Unreadable`."""
    kind = Dump if is_dump(path) else Archive
    with closing(kind(path)) as source:
        source.examine(watch)
        yield source
