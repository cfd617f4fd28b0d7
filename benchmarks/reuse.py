"""The same targets a second time: what does it save that results are used again?

All are submitted by a few clients at once and waited for, then all of them again; the
ratio of the two times is the figure. Tiny targets show what a scan costs beside its
tools, ordinary ones (a pickle of 1 MB, a server's 50 tools) what is saved.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from benchmarks.installation import Installation, running
from benchmarks.submitting import ended, submit

TARGETS = int(os.environ.get("BENCH_TARGETS", "40"))
CLIENTS = 4


def main() -> None:
    with running() as here:
        for kind in ("model", "mcp"):
            for is_tiny in (True, False):
                measure(here, kind, is_tiny=is_tiny)


def measure(here: Installation, kind: str, *, is_tiny: bool) -> None:
    """Print one line for one kind of target."""
    client = httpx.Client(headers={"X-API-Key": here.key}, timeout=90)
    ended(here, client, [submit(here, client, kind, -1, is_tiny=is_tiny)])
    first, looked = round_of(here, client, kind, is_tiny=is_tiny)
    again, known = round_of(here, client, kind, is_tiny=is_tiny)
    if any(looked) or not all(known):
        sys.exit(f"{kind}: reused at first {sum(looked)}, again {sum(known)}")
    size = "tiny" if is_tiny else "ordinary"
    print(
        f"{kind:6} {TARGETS} {size} targets: first {first:6.2f} s   "
        f"again {again:6.2f} s   "
        f"{first / again:5.1f} times faster",
        flush=True,
    )


def round_of(
    here: Installation, client: httpx.Client, kind: str, *, is_tiny: bool
) -> tuple[float, list[bool]]:
    """Return the seconds for all targets, and for each whether no tool was run."""
    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        numbers = range(TARGETS)
        scans = list(
            pool.map(lambda n: submit(here, client, kind, n, is_tiny=is_tiny), numbers)
        )
    done = ended(here, client, scans)
    seconds = time.perf_counter() - started
    return seconds, [all(run["reused_from"] for run in scan["runs"]) for scan in done]


if __name__ == "__main__":
    main()
