"""Does a scanner really detect? Runs its tool on a planted bad sample."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings

from scanners import hosts, runner
from scanners.archives import Limits as ArchiveLimits
from scanners.contract import Scanner, ScannerError, ScannerMissing, Target, TargetKind
from scanners.install import installed
from scanners.registry import SCANNERS
from scanners.workspace import StoredFile, from_document, from_uploads
from scans import warmth
from scans.sandboxing import chosen_rung

# A cold start on a busy host. One that goes behind all scans gets more: four seconds of
# processor time took over two minutes there, and called broken it costs stored results.
AWAITED_SECONDS, BEHIND_SECONDS = 120.0, 300.0
NICENESS = 5  # a scan gets about three times the processor time of a detection


@dataclass(frozen=True, slots=True)
class Detection:
    """Whether a scanner found what was planted: available, missing or broken."""

    scanner: str
    status: str
    version: str = ""
    reason: str = ""

    @property
    def is_available(self) -> bool:
        return self.status == "available"


def detect_all(
    stop: threading.Event | None = None, *, is_awaited: bool = False
) -> list[Detection]:
    """Try every scanner, side by side; in the order of the registry.

    Scans go first, since cold tools take whole processors; not where somebody waits
    for the answer, who may ask because this host has more to do than it can.
    """
    signal = stop or threading.Event()
    if is_awaited:
        pool = ThreadPoolExecutor(max_workers=max(1, len(SCANNERS)))
    else:
        pool = ThreadPoolExecutor(max_workers=2, initializer=_step_back)
    seconds = AWAITED_SECONDS if is_awaited else BEHIND_SECONDS
    with pool:
        return list(pool.map(lambda name: detect(name, signal, seconds), SCANNERS))


def _step_back() -> None:
    """Lower the priority of this thread, and so of the processes that it starts."""
    thread = threading.get_native_id()
    nice = os.getpriority(os.PRIO_PROCESS, thread)
    os.setpriority(os.PRIO_PROCESS, thread, min(nice + NICENESS, 19))


def detect(name: str, stop: threading.Event, seconds: float) -> Detection:
    """Run one scanner on its bait. An import that works is no proof."""
    scanner = SCANNERS[name]
    version = ""
    try:
        tool = installed(name, settings.SCANNERS_DIR)
        version = tool.version
        rung = chosen_rung().require()
        Path(settings.RUN_DIR).mkdir(parents=True, exist_ok=True, mode=0o711)
        with TemporaryDirectory(prefix="detection-", dir=settings.RUN_DIR) as directory:
            Path(directory).chmod(0o711)
            finished = runner.run(
                scanner,
                tool,
                _bait(scanner, Path(directory)),
                limits=replace(scanner.limits, wall_seconds=seconds),
                rung=rung,
                run_dir=Path(directory),
                stop=stop,
                supervise=hosts.supervise_in(warmth.nearby(), scanner.name, tool),
            )
    except ScannerMissing as error:
        return Detection(name, "missing", version, str(error))
    except ScannerError as error:
        return Detection(name, "broken", version, str(error))
    if not finished.report.findings:
        return Detection(name, "broken", version, "it did not find what was planted")
    return Detection(name, "available", version)


def _bait(scanner: Scanner, directory: Path) -> Target:
    bait: Mapping[str, Any] = scanner.bait()
    if TargetKind.MCP in scanner.kinds:
        return from_document(json.dumps(bait).encode(), directory)
    files = []
    for index, (name, content) in enumerate(bait.items()):
        path = directory / f"bait-{index}"
        path.write_bytes(content)
        files.append(StoredFile(name, path))
    return from_uploads(
        files, directory, limits=ArchiveLimits(), checkpoint=lambda _=0: None, rung=None
    )
