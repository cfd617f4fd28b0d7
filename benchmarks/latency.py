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
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django
import httpx

from benchmarks.installation import PROJECT, Installation, running
from benchmarks.submitting import ended, submit, tiny_array, tiny_tools

RUNS = int(os.environ.get("BENCH_RUNS", "20"))


def main() -> None:
    set_up()
    from scanners.contract import TargetKind
    from scanners.registry import scanners_for

    for has_servers in (False, True):
        with running(has_servers=has_servers) as here:
            where = "PostgreSQL and Redis" if has_servers else "SQLite, queue of files"
            print(
                f"{where}: start to first page {here.start_seconds:.1f} s", flush=True
            )
            for kind in TargetKind:
                for scanner in scanners_for(kind):
                    measure(here, scanner, kind)


def set_up() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sentrascan_project.settings")
    django.setup()
    logging.getLogger("httpx").setLevel(logging.WARNING)


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
        ended(here, client, [submit(here, client, kind, number, [scanner])])

    return post


def command_line(
    scanner: Any, kind: str, folder: Path, number: int = 0
) -> Callable[[], None]:
    """Return the tool's own command line over tiny target `number`, in `folder`."""
    from django.conf import settings

    from scanners.install import installed

    tool = installed(scanner.name, settings.SCANNERS_DIR)
    command = scanner.command(tiny_target(kind, folder, number))
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


def tiny_target(kind: str, folder: Path, number: int) -> Any:
    from scanners import workspace

    if kind == "mcp":
        raw = json.dumps(tiny_tools(number)).encode()
        return workspace.from_document(raw, folder / "run")
    stored = folder / "stored"
    stored.write_bytes(tiny_array(number))
    return workspace.from_uploads(
        [workspace.StoredFile("tiny.npy", stored)],
        folder / "run",
        limits=workspace.archives.Limits(),
        checkpoint=lambda _=0: None,
        rung=None,
    )


if __name__ == "__main__":
    main()
