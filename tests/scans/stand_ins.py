"""Scanners for tests: real subprocesses through the real runner, and no security tool.

`timeit` of the standard library runs what it is given, once, in any Python.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from scanners.contract import (
    Category,
    Command,
    Completed,
    Coverage,
    Element,
    Limits,
    Location,
    Report,
    ReportedFinding,
    Rule,
    Scanner,
    Severity,
    Target,
    TargetKind,
)
from scanners.hosts import Hosts
from scanners.install import installed
from scanners.runner import Tool
from scanners.sandbox import Rung
from scans.models import worker_name
from tests.scanners.standin import wait_for


class StandIn(Scanner):
    """Runs `code`; every word that it prints is a finding of high severity."""

    name = "stand-in"
    kinds = frozenset(TargetKind)
    entry_point = "timeit:main"
    distribution = ""
    limits = Limits(wall_seconds=30, memory_bytes=512 << 20)
    code: ClassVar[str] = "print('words:')"

    def command(self, target: Target) -> Command:
        return Command(("-n", "1", "-r", "1", self.code))

    def parse(self, target: Target, completed: Completed) -> Report:
        line = completed.stdout.decode().splitlines()[0]
        findings = tuple(
            ReportedFinding(
                Rule(f"{self.name}:{word}", Severity.HIGH, Category.OTHER, word),
                f"Found {word}",
                location=Location(path=target.elements[0].path),
            )
            for word in line.removeprefix("words:").split()
        )
        seen = frozenset(element.path for element in target.elements)
        return Report(findings, Coverage(scanned=seen))

    def bait(self) -> dict[str, bytes]:
        return {"bait.txt": b"x"}


class Finder(StandIn):
    name = "finder"
    code = "print('words: EVAL')"


class Sleeper(StandIn):
    """Sleeps, and so does a child that left its session.

    The child's `naps`, its argument, is like no other's: another process of the tests
    may have a sleeper at the same time.
    """

    name = "sleeper"
    naps = f"307.{os.getpid()}"
    code = (
        "import subprocess, time\n"
        f"subprocess.Popen(['/bin/sleep', '{naps}'], start_new_session=True)\n"
        "time.sleep(307)"
    )


class Garbled(StandIn):
    name = "garbled"

    def parse(self, target: Target, completed: Completed) -> Report:
        return Report(json.loads(completed.stdout)["findings"])


class Crasher(StandIn):
    name = "crasher"
    code = "import os; os.abort()"


def own_tool(name: str, directory: Path) -> Tool:
    """Answer for `installed` where the tool is this very Python."""
    ours = installed("sentrascan-files", directory)
    return Tool(name, Path(sys.executable), "1.0", "", ours.readable)


@contextmanager
def kept_warm(
    directory: Path, scanners: Sequence[Scanner], rung: Rung
) -> Iterator[Hosts]:
    """Keep hosts in `directory` (`HOSTS_DIR`), as this process's worker would."""
    tool = own_tool("own", directory)
    place = directory / worker_name(os.getpid())
    hosts = Hosts(place, scanners, lambda name: tool, rung)
    hosts.start()
    try:
        assert wait_for(lambda: len(hosts.processes()) == len(scanners)), hosts.states()
        yield hosts
    finally:
        hosts.stop()


def model_target(root: Path, *paths: str) -> Target:
    return Target(TargetKind.MODEL, root, tuple(Element(p, 1) for p in paths), "")
