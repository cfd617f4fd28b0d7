"""Which edition of our scanning code is this: adapters, catalogue, own rules, runner.

Whatever changes here may change what a scanner says, so a stored result names the
edition that made it. Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
KINDS = (".py", ".json")

type Stamp = tuple[str, int, int, int, int]  # path, modified, changed, size, inode


def on_disk(folder: Path = HERE) -> str:
    """Return the SHA-256 of every byte of the code that a process started now has.

    Files whose times, size and inode are known are not read again.
    """
    return _digest(folder, tuple(sorted(_stamps(str(folder), ""))))


def _stamps(folder: str, inside: str) -> Iterator[Stamp]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                if entry.name != "__pycache__":
                    yield from _stamps(entry.path, f"{inside}{entry.name}/")
            elif entry.name.endswith(KINDS):
                facts = entry.stat()
                name = inside + entry.name
                # The time of the change too: who edits in place may set the other back.
                times = (facts.st_mtime_ns, facts.st_ctime_ns)
                yield name, *times, facts.st_size, facts.st_ino


@lru_cache(maxsize=4)
def _digest(folder: Path, stamps: tuple[Stamp, ...]) -> str:
    digests = [
        [name, hashlib.sha256((folder / name).read_bytes()).hexdigest()]
        for name, *_ in stamps
    ]
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


# What this process runs. Where it differs from what is on disk, somebody changed the
# code under us: neither then says for sure what made a result.
LOADED = on_disk()


def is_loaded() -> bool:
    """Whether the code of this process is the code on disk."""
    try:
        return on_disk() == LOADED
    except OSError:  # a file went while we looked: somebody is changing it
        return False
