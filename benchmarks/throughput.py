"""Many small targets, one after the other as fast as they go: targets per second.

Beside them the tool's own command line over targets of the same kind, two at a time, as
`xargs -P2` would: a fifth of the targets is enough to know its pace.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from benchmarks.installation import Installation, running
from benchmarks.latency import command_line, set_up
from benchmarks.submitting import ended, submit

TARGETS = int(os.environ.get("BENCH_THROUGHPUT_TARGETS", "200"))
ALONE = max(TARGETS // 5, 2)
CLIENTS = 4
AT_A_TIME = 2


def main() -> None:
    set_up()
    from scanners.contract import TargetKind
    from scanners.registry import scanners_for

    for has_servers in (False, True):
        with running(has_servers=has_servers) as here:
            print(here.place, flush=True)
            for kind in TargetKind:
                measure(here, list(scanners_for(kind)), kind)


def measure(here: Installation, scanners: Sequence[Any], kind: str) -> None:
    """Print one line for each scanner, and one for all of them together."""
    alone = {scanner.name: alone_pace(scanner, kind) for scanner in scanners}
    for name, other in alone.items():
        say(name, platform_pace(here, [name], kind), other)
    # One after the other: the seconds of a target add up.
    other = 1 / sum(1 / pace for pace in alone.values())
    say(f"all of {kind}", platform_pace(here, list(alone), kind), other)


def say(name: str, mine: float, other: float) -> None:
    print(
        f"{name:18} {mine:6.2f} targets/s   own command line {other:6.2f}   "
        f"{mine / other:5.1f} times   ({TARGETS} targets, {AT_A_TIME} at a time)",
        flush=True,
    )


def platform_pace(here: Installation, scanners: list[str], kind: str) -> float:
    """Return targets a second: none that any scanner has seen before."""
    client = httpx.Client(headers={"X-API-Key": here.key}, timeout=90)
    ended(here, client, [submit(here, client, kind, -1, scanners)])
    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        numbers = range(TARGETS * len(scanners), TARGETS * (len(scanners) + 1))
        scans = pool.map(lambda n: submit(here, client, kind, n, scanners), numbers)
        ended(here, client, list(scans))
    return TARGETS / (time.perf_counter() - started)


def alone_pace(scanner: Any, kind: str) -> float:
    with tempfile.TemporaryDirectory(prefix="sentrascan-bench-") as folder:
        calls = []
        for number in range(ALONE):
            place = Path(folder, str(number))
            place.mkdir()
            calls.append(command_line(scanner, kind, place, number))
        calls[0]()
        started = time.perf_counter()
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            for done in [pool.submit(call) for call in calls]:
                done.result()
        return ALONE / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
