"""From POST to verdict for a tiny input, beside the tool's own command line.

Both in turn, so that a noisy machine is noisy for both; the ratio of the medians is the
figure. The command line is the very call that the adapter makes, without the platform.
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django
import httpx

from benchmarks.installation import PROJECT, Installation, running

RUNS = int(os.environ.get("BENCH_RUNS", "10"))


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sentrascan_project.settings")
    django.setup()
    logging.getLogger("httpx").setLevel(logging.WARNING)
    from scanners.contract import TargetKind
    from scanners.registry import scanners_for

    with running() as here:
        print(f"start to first page: {here.start_seconds:.1f} s", flush=True)
        for kind in TargetKind:
            for scanner in scanners_for(kind):
                measure(here, scanner, kind)


def measure(here: Installation, scanner: Any, kind: str) -> None:
    """Print one line for one scanner."""
    ours, theirs = [], []
    post = poster(here, scanner.name, kind)
    with tempfile.TemporaryDirectory(prefix="sentrascan-bench-") as folder:
        alone = command_line(scanner, kind, Path(folder))
        post(-1)
        alone()
        for number in range(RUNS):
            ours.append(seconds(lambda number=number: post(number)))
            theirs.append(seconds(alone))
    mine, other = statistics.median(ours), statistics.median(theirs)
    print(
        f"{scanner.name:18} POST to verdict {mine:6.2f} s   own command line "
        f"{other:6.2f} s   ratio {mine / other:5.2f}   ({RUNS} runs, medians)",
        flush=True,
    )


def seconds(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def poster(here: Installation, scanner: str, kind: str) -> Callable[[int], None]:
    """Return what submits one tiny target, never the same twice, and waits for it."""
    client = httpx.Client(
        headers={"X-API-Key": here.key, "Prefer": "wait=60"}, timeout=90
    )

    def post(number: int) -> None:
        if kind == "model":
            body = {"scan_type": "model", "scanners": scanner}
            files = {"file": ("tiny.npy", tiny_array(number))}
            answer = client.post(f"{here.url}/scans", data=body, files=files)
        else:
            document = tiny_tools(number)
            answer = client.post(
                f"{here.url}/scans",
                json={"scan_type": "mcp", "scanners": [scanner], **document},
            )
        if answer.status_code != httpx.codes.OK:
            sys.exit(f"{answer.status_code} {answer.text}")

    return post


def command_line(scanner: Any, kind: str, folder: Path) -> Callable[[], None]:
    """Return the tool's own command line over a tiny target, bytecode compiled."""
    from django.conf import settings

    from scanners.install import installed

    tool = installed(scanner.name, settings.SCANNERS_DIR)
    command = scanner.command(tiny_target(kind, folder))
    scratch = folder / "scratch"
    scratch.mkdir()
    for name, content in command.files.items():
        path = scratch / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    launch = PROJECT / "scanners" / "launch.py"
    arguments = [part.replace("{scratch}", str(scratch)) for part in command.arguments]
    call = [str(tool.python), "-I", str(launch), scanner.entry_point, *arguments]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(scratch), "LANG": "C.UTF-8"}

    def alone() -> None:
        subprocess.run(
            call,
            cwd=scratch,
            env=environment | dict(command.environment),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )

    return alone


def tiny_target(kind: str, folder: Path) -> Any:
    from scanners import workspace

    if kind == "mcp":
        raw = json.dumps(tiny_tools(0)).encode()
        return workspace.from_document(raw, folder / "run")
    stored = folder / "stored"
    stored.write_bytes(tiny_array(0))
    return workspace.from_uploads(
        [workspace.StoredFile("tiny.npy", stored)],
        folder / "run",
        limits=workspace.archives.Limits(),
        checkpoint=lambda _=0: None,
    )


def tiny_array(number: int) -> bytes:
    """Return a `.npy` file of one integer (numpy.lib.format, version 1.0)."""
    header = "{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }".ljust(117)
    head = b"\x93NUMPY\x01\x00" + len(header + "\n").to_bytes(2, "little")
    return head + header.encode() + b"\n" + number.to_bytes(8, "little", signed=True)


def tiny_tools(number: int) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"a": {"type": "number"}}}
    described = f"Add {number} to a number."
    return {"tools": [{"name": "add", "description": described, "inputSchema": schema}]}
