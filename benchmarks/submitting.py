"""Tiny targets, each like no other, sent to an installation and waited for."""

from __future__ import annotations

import pickle
import random
import sys
import time
from collections.abc import Sequence
from typing import Any

import httpx

from benchmarks.installation import Installation

# Names that no scanner takes for each other.
VERBS = (
    "archive assign block clone close comment count delete describe diff duplicate "
    "edit export filter flag follow group hide import join label link list lock merge "
    "move mute notify open pin preview publish rank rename reopen report resolve "
    "search share snooze sort split star subscribe summarise tag translate undo vote"
)
LOST = {"failed", "timed_out"}


def submit(
    here: Installation,
    client: httpx.Client,
    kind: str,
    number: int,
    scanners: Sequence[str] = (),
    *,
    is_tiny: bool = True,
) -> str:
    """Submit target `number` for these scanners, or for all; return the scan."""
    url = f"{here.url}/scans"
    if kind == "model":
        body = {"scan_type": "model", "scanners": list(scanners)}
        file = ("tiny.npy", tiny_array(number))
        if not is_tiny:
            file = ("model.pkl", pickled_weights(number))
        answer = client.post(url, data=body, files={"file": file})
    else:
        tools = tiny_tools(number) if is_tiny else many_tools(number)
        body = {"scan_type": "mcp", **tools}
        if scanners:
            body["scanners"] = list(scanners)
        answer = client.post(url, json=body)
    answer.raise_for_status()
    return str(answer.json()["scan_id"])


def ended(
    here: Installation, client: httpx.Client, scans: Sequence[str]
) -> list[dict[str, Any]]:
    """Return each scan once it is finished; end the benchmark if one failed."""
    found = []
    for scan_id in scans:
        while True:
            scan = client.get(f"{here.url}/scans/{scan_id}").raise_for_status().json()
            if scan["finished_at"]:
                break
            time.sleep(0.05)
        if scan["scan_status"] != "completed":
            sys.exit(f"{scan['scan_status']}: {scan['reasons']}")
        if lost := [run for run in scan["runs"] if run["status"] in LOST]:
            sys.exit(f"a run that did not complete: {lost[0]}")
        found.append(scan)
    return found


def tiny_array(number: int) -> bytes:
    """Return a `.npy` file of one integer (numpy.lib.format, version 1.0)."""
    header = "{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }".ljust(117)
    head = b"\x93NUMPY\x01\x00" + len(header + "\n").to_bytes(2, "little")
    return head + header.encode() + b"\n" + number.to_bytes(8, "little", signed=True)


def tiny_tools(number: int) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"a": {"type": "number"}}}
    described = f"Add {number} to a number."
    return {"tools": [{"name": "add", "description": described, "inputSchema": schema}]}


def pickled_weights(number: int) -> bytes:
    """Return a harmless pickle of some 1 MB, as small classical models are."""
    chance = random.Random(number)  # noqa: S311 - no secret
    layers = {f"layer.{n}": [chance.random() for _ in range(10_000)] for n in range(10)}
    return pickle.dumps({"version": number, "weights": layers})


def many_tools(number: int) -> dict[str, Any]:
    """Return the list of a server with as many tools as there are `VERBS`."""
    fields = {name: {"type": "string"} for name in ("issue", "owner", "since")}
    return {
        "tools": [
            {
                "name": verb,
                "description": f"The {verb} call of tracker {number}. Takes an issue, "
                f"does what {verb} says, and returns the issue as it is afterwards.",
                "inputSchema": {"type": "object", "properties": fields},
            }
            for verb in VERBS.split()
        ]
    }
