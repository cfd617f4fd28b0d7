"""The processes of `make run`: started, watched, started again, ended; none is left."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from sentrascan_project import tether

PR_SET_CHILD_SUBREAPER = 36
LOG_BYTES = 10 << 20
LOG_CHECK_SECONDS = 5
BACK_OFF_SECONDS = (0.5, 1, 2, 5, 10, 30)
STEADY_SECONDS = 60
# Together below the 10 s that an operator waits.
ASK_SECONDS = 8.0
SWEEP_SECONDS = 1.5


@dataclass
class Child:
    """One program to keep running; its output is appended to `log`.

    Without a log it has our terminal, and runs once: its end is not a failure.
    """

    name: str
    command: Sequence[str]
    log: Path | None = None
    delay: float = 0.0
    process: subprocess.Popen[bytes] | None = None
    is_finished: bool = False
    failures: int = 0
    started_at: float = 0.0
    start_at: float = 0.0
    log_start: int = 0

    def start(self) -> None:
        with ExitStack() as stack:
            output = None
            if self.log is not None:
                output = stack.enter_context(self.log.open("ab"))
                # Where this start's lines begin, for whoever wants to show them.
                self.log_start = output.tell()
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", tether.__file__, str(os.getpid())),
                    *self.command,
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # The locale is not ours to choose, the encoding of our output is.
                env={**os.environ, "PYTHONUTF8": "1"},
            )
        self.started_at = time.monotonic()

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def is_due(self) -> bool:
        is_down = self.process is None and not self.is_finished
        return is_down and time.monotonic() >= self.start_at

    def last_lines(self, count: int = 6) -> list[str]:
        """Return the end of what it printed since its latest start."""
        if self.log is None:
            return []
        with self.log.open("rb") as output:
            output.seek(self.log_start)
            text = output.read(LOG_BYTES).decode(errors="replace")
        lines = [readable(line) for line in text.splitlines()]
        return [line for line in lines if line][-count:]

    def rotate(self) -> None:
        """Keep one older log. The child appends, so a cut file just goes on."""
        if self.log is None or not self.log.exists():
            return
        if self.log.stat().st_size > LOG_BYTES:
            self.log.with_name(f"{self.log.name}.1").write_bytes(self.log.read_bytes())
            os.truncate(self.log, 0)
            self.log_start = 0


def readable(line: str) -> str:
    """Return what a log line tells a person: its message, or the line itself."""
    try:
        record = json.loads(line)
    except ValueError:
        return line.strip()
    return str(record.get("message", line)) if isinstance(record, dict) else line


@dataclass
class Family:
    """The children, and whatever they leave behind. `say` tells the person."""

    children: list[Child]
    say: Callable[[str], None]
    _logs_checked_at: float = 0.0

    def start(self) -> None:
        # Orphans of a died child become ours: only so can they be found and ended.
        if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
            raise OSError("prctl(PR_SET_CHILD_SUBREAPER)")
        for child in self.children:
            child.start_at = time.monotonic() + child.delay
            if child.is_due:
                child.start()

    def watch(self) -> None:
        """Look at every child once: start the died again, rotate logs, reap."""
        for child in self.children:
            if child.process is not None and not child.is_running:
                self._mourn(child, child.process)
            elif child.is_due:
                child.start()
        self._reap_orphans()
        if time.monotonic() - self._logs_checked_at > LOG_CHECK_SECONDS:
            self._logs_checked_at = time.monotonic()
            for child in self.children:
                child.rotate()

    def stop(self) -> None:
        """End everything: asked first, then killed. Returns within 10 s."""
        for child in self.children:
            if child.process is not None and child.is_running:
                child.process.terminate()
        deadline = time.monotonic() + ASK_SECONDS
        while any(child.is_running for child in self.children):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        deadline = time.monotonic() + SWEEP_SECONDS
        while (left := descendants(os.getpid())) and time.monotonic() < deadline:
            for pid in left:
                _kill(os.kill, pid)
            self._reap_orphans()
            time.sleep(0.02)

    def _mourn(self, child: Child, process: subprocess.Popen[bytes]) -> None:
        child.process = None
        # What is left of its session holds its port and its lock files.
        _kill(os.killpg, process.pid)
        if child.log is None:
            child.is_finished = True
            return
        if time.monotonic() - child.started_at > STEADY_SECONDS:
            child.failures = 0
        delay = BACK_OFF_SECONDS[min(child.failures, len(BACK_OFF_SECONDS) - 1)]
        child.failures += 1
        child.start_at = time.monotonic() + delay
        code = process.returncode
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        self.say(f"{child.name} ended ({how}); starting it again in {delay:g} s.")
        if child.failures == 1:
            for line in child.last_lines():
                self.say(f"  {child.name}: {line}")

    def _reap_orphans(self) -> None:
        ours = {child.process.pid for child in self.children if child.process}
        while True:
            try:
                state = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            # A child's own exit code belongs to its Popen; the next look takes it.
            if state is None or state.si_pid in ours:
                return
            os.waitpid(state.si_pid, os.WNOHANG)


def descendants(ancestor: int) -> list[int]:
    """Return the living processes below `ancestor`, from /proc; no zombies."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue  # gone meanwhile
        # proc(5): "pid (comm) state ppid ..."; comm may hold anything.
        state, parent = stat.rpartition(")")[2].split()[:2]
        if state not in "ZX":
            parents[int(entry.name)] = int(parent)
    return [pid for pid in parents if _is_below(pid, ancestor, parents)]


def _is_below(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    seen = set()
    while pid in parents and pid not in seen:
        seen.add(pid)
        pid = parents[pid]
        if pid == ancestor:
            return True
    return False


def _kill(kill: Callable[[int, int], None], pid: int) -> None:
    with suppress(ProcessLookupError):
        kill(pid, signal.SIGKILL)
