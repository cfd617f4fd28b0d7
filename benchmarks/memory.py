"""What an idle installation holds in memory, and which of its parts holds it.

The proportional set size of each process (`Pss` of proc(5), smaps_rollup): a page that
several share counts once in the sum. Nothing has been scanned yet, every host is warm.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.installation import running
from benchmarks.latency import set_up
from benchmarks.processes import family

KIB_OF_MIB = 1 << 10
STEADY_SECONDS = 5.0
PATIENCE_SECONDS = 300.0
INSIDE = "scanners.warm_host:main"
PARTS = {
    "gunicorn": "web",
    "--housekeeping": "timed tasks",
    "--beside": "beside the worker",
    "manage.py": "worker",
    "sentrascan_project.local": "supervisor of all",
}


def main() -> None:
    set_up()
    with running() as here:
        held = when_steady(here.process_id)
    for part, kib in sorted(held.items(), key=lambda pair: -pair[1]):
        print(f"{part:28} {kib / KIB_OF_MIB:6.0f} MiB")
    print(
        f"{'idle, all of it':28} {sum(held.values()) / KIB_OF_MIB:6.0f} MiB", flush=True
    )


def when_steady(process: int) -> dict[str, int]:
    """Return KiB by part once every host has imported its tool and nothing grows."""
    from scanners.registry import SCANNERS

    end = time.monotonic() + PATIENCE_SECONDS
    before: dict[str, int] = {}
    while time.monotonic() < end:
        time.sleep(STEADY_SECONDS)
        held = by_part(process)
        hosts = sum(part.startswith("host of ") for part in held)
        grown = sum(held.values()) - sum(before.values())
        if hosts == len(SCANNERS) and grown < KIB_OF_MIB:
            return held
        before = held
    raise RuntimeError(f"not steady after {PATIENCE_SECONDS:.0f} s: {before}")


def by_part(process: int) -> dict[str, int]:
    held: dict[str, int] = defaultdict(int)
    for each in family(process):
        with suppress(OSError):  # one that has just ended
            held[part_of(each.words)] += pss(each.number)
    return held


def part_of(words: Sequence[str]) -> str:
    """Name the part by the command line; that of a host says its name."""
    for sign, part in PARTS.items():
        if any(sign in word for word in words):
            return part
    if INSIDE not in words:
        return f"other: {' '.join(words)}".rstrip()
    return f"host of {words[words.index(INSIDE) + 1].rpartition('-')[0]}"


def pss(process: int) -> int:
    """Return the proportional set size in KiB."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    main()
