"""The same targets a second time: what does it save that results are used again?

All are submitted by a few clients at once and waited for, then all of them again; the
ratio of the two times is the figure.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from benchmarks.installation import Installation, running
from benchmarks.latency import tiny_array, tiny_tools

TARGETS = int(os.environ.get("BENCH_TARGETS", "40"))
CLIENTS = 4


def main() -> None:
    with running() as here:
        for kind in ("model", "mcp"):
            measure(here, kind)


def measure(here: Installation, kind: str) -> None:
    """Print one line for one kind of target."""
    client = httpx.Client(
        headers={"X-API-Key": here.key, "Prefer": "wait=60"}, timeout=90
    )
    ended(here, client, [submit(here, client, kind, -1)])
    first, looked = round_of(here, client, kind)
    again, known = round_of(here, client, kind)
    if any(looked) or not all(known):
        sys.exit(f"{kind}: reused at first {sum(looked)}, again {sum(known)}")
    print(
        f"{kind:6} {TARGETS} targets: first {first:6.2f} s   again {again:6.2f} s   "
        f"{first / again:5.1f} times faster",
        flush=True,
    )


def round_of(
    here: Installation, client: httpx.Client, kind: str
) -> tuple[float, list[bool]]:
    """Return the seconds for all targets, and for each whether no tool was run."""
    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        numbers = range(TARGETS)
        scans = list(pool.map(lambda n: submit(here, client, kind, n), numbers))
    runs = ended(here, client, scans)
    seconds = time.perf_counter() - started
    return seconds, [all(run["reused_from"] for run in each) for each in runs]


def submit(here: Installation, client: httpx.Client, kind: str, number: int) -> str:
    url = f"{here.url}/scans"
    if kind == "model":
        files = {"file": ("tiny.npy", tiny_array(number))}
        answer = client.post(url, data={"scan_type": "model"}, files=files)
    else:
        answer = client.post(url, json={"scan_type": "mcp", **tiny_tools(number)})
    answer.raise_for_status()
    return str(answer.json()["scan_id"])


def ended(
    here: Installation, client: httpx.Client, scans: list[str]
) -> list[list[dict[str, Any]]]:
    """Return the runs of each scan, once it is finished; most are already."""
    found = []
    for scan_id in scans:
        while True:
            scan = client.get(f"{here.url}/scans/{scan_id}").raise_for_status().json()
            if scan["finished_at"]:
                break
            time.sleep(0.05)
        if scan["verdict"] != "pass":
            sys.exit(f"{scan['verdict']}: {scan['reasons']}")
        found.append(scan["runs"])
    return found


if __name__ == "__main__":
    main()
