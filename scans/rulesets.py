"""Which rules a verdict rests on: our release and code, every tool and its lock.

One digest stands for all of it. A scan keeps the one it was made with, a worker says
its own with every sign of life, so that a verdict by other rules is known for one.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path

import rfc8785
from django.conf import settings

from scanners import edition, environments
from scanners.contract import ScannerMissing
from scanners.install import installed
from scanners.registry import SCANNERS

type Tool = tuple[str, str | None, str]  # name, version, digest of its lock
type Stamp = tuple[int, int, int, int] | None  # modified, changed, size, inode


def of_this_process() -> str:
    """Return what a scan of this process rests on; "" where that is not sure.

    Programs of ours are started from disk while adapters are in memory: where the two
    are of different editions, nobody can say.
    """
    return _ruleset(True) if edition.is_loaded() else ""


def loaded_code() -> str:
    """Return which release and edition of our code this process has in memory."""
    return f"{settings.VERSION}:{edition.LOADED}"


def known_here() -> str:
    """Return the rules as this host knows them; "" where a tool is not installed."""
    return _ruleset(False)


def _ruleset(may_lack: bool) -> str:
    names = tuple(sorted(SCANNERS))
    directory = Path(settings.SCANNERS_DIR)
    tools = _tools(names, directory, _stamps(names, directory))
    if not may_lack and any(version is None for _, version, _ in tools):
        return ""
    return _digest(settings.VERSION, edition.LOADED, tools)


@lru_cache(maxsize=4)
def _digest(version: str, loaded: str, tools: tuple[Tool, ...]) -> str:
    parts = [version, loaded, [list(tool) for tool in tools]]
    return hashlib.sha256(rfc8785.dumps(parts)).hexdigest()


def _stamps(names: tuple[str, ...], directory: Path) -> tuple[Stamp, ...]:
    """Return what changes whenever one of the files that `installed` reads does."""
    found: list[Stamp] = []
    for path in _paths(names, directory):
        try:
            facts = os.stat(path)  # noqa: PTH116 - in each verdict; a Path takes thrice
        except OSError:
            found.append(None)
        else:
            times = (facts.st_mtime_ns, facts.st_ctime_ns)
            found.append((*times, facts.st_size, facts.st_ino))
    return tuple(found)


@lru_cache(maxsize=4)
def _paths(names: tuple[str, ...], directory: Path) -> tuple[str, ...]:
    places = [
        (directory / name / environments.MARKER, environments.LOCKS / f"{name}.txt")
        for name in names
    ]
    return tuple(str(path) for pair in places for path in pair)


@lru_cache(maxsize=4)
def _tools(
    names: tuple[str, ...], directory: Path, stamps: tuple[Stamp, ...]
) -> tuple[Tool, ...]:
    return tuple(_tool(name, directory) for name in names)


def _tool(name: str, directory: Path) -> Tool:
    try:
        tool = installed(name, directory)
    except ScannerMissing:
        return name, None, ""
    return name, tool.version, tool.lock_digest
