"""A stand-in tool: a real environment whose program runs what a test gives it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from scanners import hosts, landlock, runner, sandbox
from scanners.contract import (
    Command,
    Completed,
    Limits,
    Report,
    Scanner,
    Target,
    TargetKind,
)

_PROGRAM = """
def main():
    with open("program.py") as file:
        text = file.read()
    exec(compile(text, "program.py", "exec"), {"__name__": "__main__"})
"""

# How a skip begins that tests/conftest.py counts and says at the end.
NOT_TRIED = "rung not tried:"

SMALL = Limits(
    wall_seconds=60,
    cpu_seconds=60,
    memory_bytes=256 << 20,
    file_bytes=1 << 30,
    output_bytes=8 << 20,
    processes=16,
)


class StandIn(Scanner):
    """Runs `program`, keeps what came back in `completed`, reports nothing."""

    name = "stand-in"
    kinds = frozenset({TargetKind.MODEL})
    entry_point = "standin_tool:main"
    distribution = ""

    def __init__(self, program: str, *arguments: str, outputs: tuple[str, ...] = ()):
        self.program = program
        self.arguments = arguments
        self.outputs = outputs
        self.completed = Completed(exit_code=0)

    def command(self, target: Target) -> Command:
        return Command(
            arguments=self.arguments,
            environment={"STAND_IN": "1"},
            files={"program.py": self.program.encode()},
            outputs=self.outputs,
        )

    def parse(self, target: Target, completed: Completed) -> Report:
        self.completed = completed
        return Report()

    def bait(self) -> Mapping[str, bytes] | Mapping[str, Any]:
        return {}


def install(directory: Path) -> runner.Tool:
    """Make a real environment, as `scanners.install` does, with one module in it."""
    venv.create(directory, symlinks=True, with_pip=False)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = directory / "lib" / version / "site-packages"
    (packages / "standin_tool.py").write_text(_PROGRAM)
    return runner.Tool(
        name="stand-in",
        python=directory / "bin" / "python",
        version="1",
        lock_digest="",
        readable=(directory, Path(sys.base_prefix)),
    )


class Stage:
    """A tool, a target and a run directory that belong together.

    A warm one has its runs done by warm hosts, one for each rung that is asked for.
    """

    def __init__(self, directory: Path, *, is_warm: bool = False) -> None:
        directory.chmod(0o755)
        self.is_warm = is_warm
        self.hosts: dict[sandbox.Rung, hosts.Hosts] = {}
        self.directory = directory
        self.tool = install(directory / "tool")
        self.run_dir = directory / "runs"
        self.run_dir.mkdir()
        root = directory / "target"
        root.mkdir(mode=0o755)
        (root / "model.bin").write_bytes(b"weights")
        (root / "model.bin").chmod(0o644)
        self.target = Target(TargetKind.MODEL, root, elements=(), digest="")

    def perform(
        self,
        program: str,
        *arguments: str,
        rung: sandbox.Rung,
        limits: Limits = SMALL,
        outputs: tuple[str, ...] = (),
        stop: threading.Event | None = None,
    ) -> Completed:
        """Run `program` through the real runner and return what it left."""
        scanner = StandIn(program, *arguments, outputs=outputs)
        runner.run(
            scanner,
            self.tool,
            self.target,
            limits=limits,
            rung=rung,
            run_dir=self.run_dir,
            stop=stop or threading.Event(),
            supervise=hosts.supervise_in(
                self.host(rung).directory if self.is_warm else None,
                scanner.name,
                self.tool,
            ),
        )
        return scanner.completed

    def host(self, rung: sandbox.Rung) -> hosts.Hosts:
        """Return the host for `rung`, started if it is not yet."""
        if rung not in self.hosts:
            place = self.directory / "hosts" / rung
            made = hosts.Hosts(place, [StandIn("")], lambda name: self.tool, rung)
            made.start()
            self.hosts[rung] = made
            assert wait_for(made.processes), made.states()
        return self.hosts[rung]

    def alive(self, token: str) -> list[int]:
        """Return the processes of a run that was given `token`, and of any here."""
        kept = {
            pid for each in self.hosts.values() for pid in each.processes().values()
        }
        return [pid for pid in alive(token, str(self.directory)) if pid not in kept]

    def close(self) -> None:
        for each in self.hosts.values():
            each.stop()


def strongest() -> sandbox.Rung:
    return sandbox.probe()


def need(rung: sandbox.Rung) -> sandbox.Rung:
    """Return `rung`, or skip the test where this machine does not have it.

    Asks the machine, not the sandbox: a rung of ours that is broken must fail.
    """
    if rung is sandbox.Rung.LANDLOCK and not landlock.abi():
        pytest.skip(f"{NOT_TRIED} {rung}: this kernel has no Landlock")
    if rung is sandbox.Rung.BUBBLEWRAP and (reason := _no_bubblewrap()):
        if os.environ.get("CI") == "true" and shutil.which("bwrap") is None:
            pytest.fail(f"{NOT_TRIED} {rung}: {reason} (apt-get install bubblewrap)")
        pytest.skip(f"{NOT_TRIED} {rung}: {reason}")
    return rung


def need_tcp(rung: sandbox.Rung) -> sandbox.Rung:
    """Return `rung` if it can hold a program to one port; skip the test if not."""
    if rung is sandbox.Rung.LANDLOCK and landlock.abi() < landlock.HAS_TCP:
        pytest.skip("this kernel's Landlock knows no TCP")
    return rung


def confined_alone(job: sandbox.Job) -> subprocess.CompletedProcess[bytes]:
    """Run the sandbox's own program on `job`, without a supervisor."""
    boot = [sys.executable, "-I", "-S", "-c", sandbox.BOOT, sandbox.HOME]
    words = [*boot, "sandbox", "main", "2", *job.arguments()]
    return subprocess.run(words, capture_output=True, check=False)


@cache
def _no_bubblewrap() -> str:
    """Return why the machine has no working bubblewrap; "" if it has."""
    bare = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    try:
        tried = subprocess.run(bare, capture_output=True, check=False)
    except FileNotFoundError:
        return "bubblewrap is not installed"
    return "bubblewrap may not make namespaces here" if tried.returncode else ""


def alive(*marks: str) -> list[int]:
    """Return the processes that have a mark in their arguments or environment.

    What was forked and never started anew keeps those of whom it was forked from.
    """
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            said = b""
            for name in ("cmdline", "environ"):
                with suppress(OSError):
                    said += (process / name).read_bytes()
            if any(mark.encode() in said for mark in marks):
                found.append(int(process.name))
    return found


def wait_for(is_so: Any, seconds: float = 30) -> bool:
    """Wait until `is_so()`, generously: the machine may be busy."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if is_so():
            return True
        time.sleep(0.02)
    return False
