"""The small process above each tool: it bounds it, and lets nothing of it survive.

`python -I -S -c sandbox.BOOT HOME supervisor main JOB...` (see `sandbox.Job`). Standard
input is a pipe that nothing is ever written to: its end means that the worker died, or
wants the tool gone. The result is one line on standard output, a JSON object:
`outcome` (exited, timed_out, memory, processes, output, hidden, cpu, stopped,
not_confined), `exit_code` (negative for a signal), `cpu_seconds`, `max_rss_bytes`,
`detail`.

As a subreaper it inherits every orphan below, daemons in sessions of their own too, so
that "no child is left" (ECHILD) proves that nothing is. Each rung of the sandbox bars
the tool from signalling it. Standard library only.
"""

# pathlib and contextlib would cost each start of a tool several milliseconds
# ruff: noqa: PTH110, PTH116, PTH123, PTH208, SIM105

from __future__ import annotations

import os
import select
import signal
import stat
import sys
import time
from resource import RUSAGE_CHILDREN, getrusage

from scanners import sandbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    # Turns a process into a job's program: `sandbox.confine`, or what a warm host has.
    # The second argument is the descriptor that is told when the program is reached.
    Confine = Callable[[sandbox.Job, int], NoReturn]

_POLL_SECONDS = 0.05
_DEEPEST = 100  # levels of folders in scratch
_THREADS_PER_PROCESS = 8
_LEAST_FILE = 4096  # bytes: an empty one costs the disk too
_OUTER_PROCESSES = 2  # bubblewrap's own
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_ANYTHING = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


def main() -> None:
    """Run one job to its end, whatever end that is, and answer."""
    supervise(sandbox.Job.from_arguments(sys.argv[1:]), sandbox.confine)


def supervise(job: sandbox.Job, confine: Confine) -> None:
    """Watch `job` from descriptor 0 and answer on 1; `confine` becomes its program.

    A terminal's Ctrl-C and a service manager's stop are the worker's to answer.
    """
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    sandbox.become_subreaper()
    run = Run(job, confine)
    try:
        outcome = run.watch()
    finally:
        run.sweep()
    try:
        os.write(1, _result(run, outcome).encode())
    except BrokenPipeError:
        pass  # the worker is gone


def _result(run: Run, outcome: str) -> str:
    detail = ""
    if outcome == "exited" and not run.is_started:
        outcome, detail = "not_confined", run.complaint()
    elif outcome == "exited":
        # what it wrote after the last look
        outcome = run.excess_of_output({}) or outcome
        if run.exit_code == -signal.SIGXCPU:
            outcome = "cpu"
    spent = getrusage(RUSAGE_CHILDREN)
    detail = "".join(c if c.isalnum() or c in " ,.:;/()[]_-" else "?" for c in detail)
    return (
        f'{{"outcome": "{outcome}", "exit_code": {run.exit_code}, '
        f'"cpu_seconds": {spent.ru_utime + spent.ru_stime:.3f}, '
        f'"max_rss_bytes": {spent.ru_maxrss * 1024}, "detail": "{detail}"}}\n'
    )


class Run:
    """One child, and all that come from it."""

    def __init__(self, job: sandbox.Job, confine: Confine) -> None:
        self.job = job
        self.started = time.monotonic()
        self.exit_code = 0
        self.has_exited = False
        self.streams = [os.open(each, _APPEND, 0o600) for each in (job.out, job.err)]
        self.next_look_at_files = 0.0
        self.heard = b""
        self.ready, ready = os.pipe()
        self.child = os.fork()
        if self.child == 0:
            _become_tool(job, confine, self.streams, ready)
        os.close(ready)

    @property
    def is_started(self) -> bool:
        """Whether the tool itself was reached, with its sandbox on."""
        return self.heard == b"+"

    def complaint(self) -> str:
        """Return why it was not, as far as anybody said."""
        words = self.heard.lstrip(b"+")
        if not words:
            with open(self.job.err, "rb") as file:
                words = file.read(500)
        return words.decode(errors="replace").strip() or "no reason was given"

    def watch(self) -> str:
        """Wait for the first reason to end, and return it."""
        poll = select.poll()
        poll.register(0, select.POLLIN)
        poll.register(self.ready, select.POLLIN)
        try:
            poll.register(os.pidfd_open(self.child), select.POLLIN)
        except OSError:
            pass  # before Linux 5.3: the next look notices the end
        while True:
            wait = _POLL_SECONDS
            if self.job.wall_seconds:
                end = self.started + self.job.wall_seconds
                wait = min(wait, end - time.monotonic())
                if wait <= 0:
                    return "timed_out"
            events = {number for number, _ in poll.poll(wait * 1000)}
            if 0 in events:
                return "stopped"
            if self.ready in events and not self._listen():
                poll.unregister(self.ready)
            self._reap()
            if self.has_exited:
                while self._listen():
                    pass
                return "exited"
            excess = self._excess()
            if excess:
                return excess

    def sweep(self) -> None:
        """Kill all that is left, and return when nothing is.

        Only own children are killed, whose numbers cannot have passed to a stranger;
        what they leave behind becomes an own child next.
        """
        pause = 0.0005
        while self._reap():
            for pid in _children(os.getpid()):
                os.kill(pid, signal.SIGKILL)
            time.sleep(pause)
            pause = min(pause * 2, 0.02)

    def excess_of_output(self, family: dict[int, _Process]) -> str:
        """Return "output" if scratch or a stream holds more than allowed.

        "hidden" if nobody can tell.
        """
        most = self.job.output_bytes
        if not most:
            return ""
        if any(os.fstat(each).st_size > most for each in self.streams):
            return "output"
        if not self.job.scratch:
            return ""
        folder = os.open(self.job.scratch, _ANYTHING)
        try:
            found = _bytes_below(folder, most)
            if found <= most:
                found += _unnamed_bytes(family, os.fstat(folder).st_dev)
        except PermissionError:
            return "hidden"  # a folder closed against us could hold anything
        finally:
            os.close(folder)
        return "output" if found > most else ""

    def _listen(self) -> bool:
        said = os.read(self.ready, 4096)
        self.heard += said
        return bool(said)

    def _reap(self) -> bool:
        """Bury the dead; return whether any child is left alive."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.child:
                self.has_exited = True
                self.exit_code = os.waitstatus_to_exitcode(status)
                if self.job.rung == sandbox.Rung.BUBBLEWRAP and self.exit_code > 128:
                    self.exit_code = 128 - self.exit_code  # bwrap's way to say signal

    def _excess(self) -> str:
        job = self.job
        family = _family()
        extra = _OUTER_PROCESSES if job.rung == sandbox.Rung.BUBBLEWRAP else 0
        threads = sum(each.threads for each in family.values())
        if job.processes and (
            len(family) > job.processes + extra
            or threads > job.processes * _THREADS_PER_PROCESS + extra
        ):
            return "processes"
        memory = sum(each.rss_bytes for each in family.values())
        if job.memory_bytes and memory > job.memory_bytes:
            # Shared pages were counted once for each; now exactly, which is slower.
            memory = sum(map(_exact_bytes, family))
            if memory > job.memory_bytes:
                return "memory"
        buried = getrusage(RUSAGE_CHILDREN)
        spent = buried.ru_utime + buried.ru_stime
        spent += sum(each.cpu_seconds for each in family.values())
        if job.cpu_seconds and spent > job.cpu_seconds:
            return "cpu"
        now = time.monotonic()
        if now < self.next_look_at_files:
            return ""
        excess = self.excess_of_output(family)
        after = time.monotonic()
        # A tool that writes ten thousand small files must not keep us busy for ever.
        self.next_look_at_files = after + 4 * (after - now)
        return excess


def _become_tool(
    job: sandbox.Job, confine: Confine, streams: list[int], ready: int
) -> NoReturn:
    try:
        os.setsid()
        sandbox.become_expendable()
        # opened anew: nobody else moves in what it reads
        source = f"/proc/self/fd/{job.source}" if job.source else "/dev/null"
        os.dup2(os.open(source, os.O_RDONLY), 0)
        os.dup2(streams[0], 1)
        os.dup2(streams[1], 2)
        _close_all_but(*filter(None, (ready, job.door, job.channel)))
        confine(job, ready)
    finally:
        os._exit(sandbox.NOT_CONFINED)


def _close_all_but(*kept: int) -> None:
    first = 3
    for number in sorted(kept):
        os.closerange(first, number)
        first = max(first, number + 1)
    os.closerange(first, 1 << 20)


class _Process:
    """What `/proc/<pid>/stat` tells of one process: proc_pid_stat(5)."""

    def __init__(self, text: bytes) -> None:
        # The name before the last parenthesis is the process's own choice.
        fields = text[text.rindex(b")") + 2 :].split()
        # own and of its buried children
        ticks = sum(int(field) for field in fields[11:15])
        self.parent = int(fields[1])
        self.cpu_seconds = ticks / _TICKS_PER_SECOND
        self.threads = int(fields[17])
        self.rss_bytes = int(fields[21]) * _PAGE


def _read(path: str) -> bytes:
    """Return a file of `/proc`, empty if its process is gone or closed to us."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(1 << 16)
    except OSError:
        return b""


def _names(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


# Needs CONFIG_PROC_CHILDREN, which nearly every kernel has.
_HAS_CHILDREN = os.path.exists("/proc/thread-self/children")


def _children(pid: int) -> list[int]:
    if not _HAS_CHILDREN:
        everyone = [int(name) for name in _names("/proc") if name.isdigit()]
        facts = {each: _read(f"/proc/{each}/stat") for each in everyone}
        return [
            each
            for each in facts
            if facts[each] and _Process(facts[each]).parent == pid
        ]
    found: list[int] = []
    for thread in _names(f"/proc/{pid}/task"):
        found += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    return found


def _family() -> dict[int, _Process]:
    """Return every descendant of this process that is there now."""
    found: dict[int, _Process] = {}
    left = _children(os.getpid())
    while left:
        pid = left.pop()
        text = _read(f"/proc/{pid}/stat")
        if text and pid not in found:
            found[pid] = _Process(text)
            left += _children(pid)
    return found


def _exact_bytes(pid: int) -> int:
    """Return a process's memory with each shared page divided among its users."""
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    # It is about to end and has given its memory back, or this kernel cannot tell.
    text = _read(f"/proc/{pid}/stat")
    return _Process(text).rss_bytes if text else 0


def _bytes_below(folder: int, most: int, depth: int = 1) -> int:
    """Return the bytes of all files below, or any number above `most`.

    Follows no link, whatever the tool swaps meanwhile. Raises `PermissionError` for a
    folder that cannot be opened.
    """
    if depth > _DEEPEST:
        return most + 1
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                facts = entry.stat(follow_symlinks=False)
                total += max(facts.st_size, _LEAST_FILE)
                if stat.S_ISDIR(facts.st_mode):
                    inner = os.open(entry.name, _ANYTHING, dir_fd=folder)
                    try:
                        total += _bytes_below(inner, most - total, depth + 1)
                    finally:
                        os.close(inner)
            except PermissionError:
                raise
            except OSError:
                continue  # gone, or no folder any more
            if total > most:
                break
    return total


def _unnamed_bytes(family: dict[int, _Process], device: int) -> int:
    """Return the bytes of files that are open, yet in no folder any more."""
    found: dict[int, int] = {}
    for pid in family:
        for number in _names(f"/proc/{pid}/fd"):
            try:
                facts = os.stat(f"/proc/{pid}/fd/{number}")
            except OSError:
                continue
            is_unnamed = stat.S_ISREG(facts.st_mode) and not facts.st_nlink
            if is_unnamed and facts.st_dev == device:
                found[facts.st_ino] = facts.st_size
    return sum(found.values())
