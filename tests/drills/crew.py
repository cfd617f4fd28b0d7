"""The services of the installation, started again whenever they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import Process, family
from tests.servers import _as_user

PROJECT = Path(__file__).resolve().parents[2]
RESTART_SECONDS = 0.5
HOST, SUPERVISOR = "scanners.warm_host:main", "supervisor"
BESIDE = "--beside"


@dataclass
class Member:
    """One service: what to run, and the process that runs it now."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    start_at: float = 0.0
    starts: int = 0

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [
                    # Nothing of it outlives the drill, whatever that dies of.
                    *_as_user("", signal.SIGKILL),
                    *(sys.executable, PROJECT / "manage.py", *self.arguments),
                ],
                env=self.environment,
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.starts += 1

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None


@dataclass
class Crew:
    members: list[Member] = field(default_factory=list)

    def look(self) -> None:
        """Start again what has ended; called a few times a second."""
        now = time.monotonic()
        for member in self.members:
            if member.process is not None and member.process.poll() is not None:
                member.process, member.start_at = None, now + RESTART_SECONDS
            if member.process is None and now >= member.start_at:
                member.start()

    def stop(self, seconds: float = 20) -> None:
        """Ask all to end, then insist."""
        running = [m.process for m in self.members if m.process and m.is_running]
        for process in running:
            process.terminate()
        ends_at = time.monotonic() + seconds
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, ends_at - time.monotonic()))
            if process.poll() is None:
                process.kill()
                process.wait()

    def named(self, *names: str) -> list[Member]:
        return [m for m in self.members if m.name in names and m.is_running]

    # --- who is who below the services

    def web_children(self) -> list[int]:
        return [each.number for each in self._below("web") if self._is_child(each)]

    def pool_children(self) -> list[int]:
        return [
            each.number
            for each in self._below("worker", "worker-2")
            if BESIDE not in each.words
            and "worker" in each.words
            and self._is_child(each)
        ]

    def companions(self) -> list[int]:
        return [
            each.number
            for each in self._below("worker", "worker-2")
            if BESIDE in each.words and self._is_child(each)
        ]

    def hosts(self) -> list[int]:
        above = self.companions()
        return [
            each.number
            for each in self._below("worker", "worker-2")
            if HOST in each.words and _parent(each.number) in above
        ]

    def supervisors(self) -> list[int]:
        """Return the processes above the tools: cold ones, and forks of a host."""
        hosts = self.hosts()
        cold = [p for p in self._below("worker", "worker-2") if SUPERVISOR in p.words]
        forks = [n for host in hosts for n in _children(host)]
        return [*(each.number for each in cold), *forks]

    def tools(self) -> list[int]:
        """Return what runs below the supervisors: the tools, in their sandboxes."""
        return [
            each.number
            for above in self.supervisors()
            for each in family(above)
            if each.number != above
        ]

    def _below(self, *names: str) -> Iterator[Process]:
        for member in self.named(*names):
            if member.process:
                pid = member.process.pid
                yield from (p for p in family(pid) if p.number != pid)

    def _is_child(self, each: Process) -> bool:
        ours = {m.process.pid for m in self.members if m.process}
        return _parent(each.number) in ours


def _parent(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])


def _children(pid: int) -> list[int]:
    return [each.number for each in family(pid) if _parent(each.number) == pid]


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> bool:
    """Send a signal; False where it is gone already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def eventually(is_so: Callable[[], bool], seconds: float) -> bool:
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        if is_so():
            return True
        time.sleep(0.1)
    return is_so()
