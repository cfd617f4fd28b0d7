"""What each rung of the sandbox costs: a tool's run in it, beside the same run bare.

In turn, so that a noisy machine is noisy for all; the ratio of medians is the figure.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

from benchmarks.installation import PROJECT

RUNS = int(os.environ.get("BENCH_RUNS", "10"))


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sentrascan_project.settings")
    django.setup()
    from scanners.registry import SCANNERS
    from scanners.sandbox import Rung, climb

    _, reasons = climb()
    for name in ("modelaudit", "sentrascan-files"):
        with tempfile.TemporaryDirectory(prefix="sentrascan-bench-") as folder:
            here = Path(folder)
            here.chmod(0o755)
            target = planted(SCANNERS[name], here)
            calls = {"bare": bare(SCANNERS[name], target, here)}
            for rung in Rung:
                if rung not in reasons:
                    calls[rung.value] = confined(SCANNERS[name], target, here, rung)
            report(name, measured(calls))


def planted(scanner: Any, here: Path) -> Any:
    """Lay out the sample that the scanner must find; return the target of it."""
    from scanners.contract import Element, Target, TargetKind

    root = here / "target"
    root.mkdir(mode=0o755)
    elements = []
    for name, raw in scanner.bait().items():
        (root / name).write_bytes(raw)
        elements.append(Element(name, len(raw)))
    return Target(TargetKind.MODEL, root, tuple(elements), "")


def bare(scanner: Any, target: Any, here: Path) -> Callable[[], object]:
    from django.conf import settings

    from scanners.install import installed

    tool = installed(scanner.name, settings.SCANNERS_DIR)
    command = scanner.command(target)
    scratch = here / "bare"
    scratch.mkdir()
    for name, raw in command.files.items():
        (scratch / name).write_bytes(raw)
    launch = [str(tool.python), "-I", str(PROJECT / "scanners" / "launch.py")]
    words = [each.replace("{scratch}", str(scratch)) for each in command.arguments]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(scratch), "LANG": "C.UTF-8"}
    return lambda: subprocess.run(
        [*launch, scanner.entry_point, *words],
        cwd=scratch,
        env={**environment, **command.environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


def confined(scanner: Any, target: Any, here: Path, rung: Any) -> Callable[[], object]:
    from django.conf import settings

    from scanners import runner
    from scanners.install import installed

    tool = installed(scanner.name, settings.SCANNERS_DIR)
    run_dir = here / f"runs-{rung.value}"
    run_dir.mkdir(mode=0o711)
    return lambda: runner.run(
        scanner,
        tool,
        target,
        limits=scanner.limits,
        rung=rung,
        run_dir=run_dir,
        stop=threading.Event(),
    )


def measured(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return name -> median seconds; the first round only warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(RUNS + 1):
        for name, call in calls.items():
            start = time.monotonic()
            call()
            if number:
                seconds[name].append(time.monotonic() - start)
    return {name: statistics.median(each) for name, each in seconds.items()}


def report(scanner: str, medians: dict[str, float]) -> None:
    bare_seconds = medians["bare"]
    for name, each in medians.items():
        print(
            f"{scanner:18} {name:12} {each:6.2f} s   ratio to bare "
            f"{each / bare_seconds:5.2f}   ({RUNS} runs, medians)",
            flush=True,
        )


if __name__ == "__main__":
    main()
