"""The processes of an installation as /proc shows them: see proc_pid_stat(5)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """One process; memory is its resident set."""

    number: int
    words: Sequence[str]
    memory_bytes: int
    processor_seconds: float


def family(ancestor: int) -> Iterator[Process]:
    """Yield a process and all its descendants."""
    parents: dict[int, int] = {}
    found: dict[int, Process] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            words = (folder / "cmdline").read_text("utf-8", "replace").split("\0")
        except OSError:
            continue
        number = int(folder.name)
        parents[number] = int(fields[1])
        ticks = int(fields[11]) + int(fields[12])
        found[number] = Process(
            number,
            words,
            int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
            ticks / os.sysconf("SC_CLK_TCK"),
        )
    for number, process in found.items():
        above = number
        while above and above != ancestor:
            above = parents.get(above, 0)
        if above:
            yield process
