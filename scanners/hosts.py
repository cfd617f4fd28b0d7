"""Warm hosts: one process for each scanner that has imported its tool already.

Starting a tool costs seconds, nearly all of them imports; a child of a process that has
them in memory costs milliseconds. `Hosts` keeps those processes for a worker;
`supervise_in` has a run done by one, and as a new process wherever none is ready for
exactly this tool.
The inside of a host is `warm_host.py`, which promises the same sandbox and supervisor.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from scanners import runner, sandbox
from scanners.contract import (
    Completed,
    Limits,
    Scanner,
    ScannerError,
    ScanStopped,
    Target,
)
from scanners.runner import Reach, Supervise, Tool
from scanners.sandbox import Rung
from scanners.scratch import Scratch

logger = logging.getLogger(__name__)

WARM = "warm"  # the state of a host that takes scans
SCANS = 1_000  # then a host makes room for a fresh one
_LOOK_SECONDS = 1.0
_START_SECONDS = 120.0
_BACK_OFF_SECONDS = (1, 5, 30, 300)
_HELLO_SECONDS = 5.0
_OWN_PLACES = frozenset({"HOME", "TMPDIR"})  # differ from run to run
_INSIDE = "scanners.warm_host:main"
_WITNESS_LIMITS = Limits(wall_seconds=30, cpu_seconds=30)


def supervise_in(directory: Path | None, scanner: str, tool: Tool) -> Supervise:
    """Return the way to start `tool`: by its host in `directory`, if one is ready."""
    if directory is None:
        return runner.in_new_process
    return partial(_warm_or_cold, directory, scanner, tool)


def _warm_or_cold(
    directory: Path,
    scanner: str,
    tool: Tool,
    job: sandbox.Job,
    environment: Mapping[str, str],
    scratch: Scratch,
    stop: threading.Event,
) -> dict[str, Any]:
    entry_point = job.command[len(runner.start(tool.python))]
    name = host_name(scanner, tool, entry_point, environment)
    try:
        result = ask(directory, name, job, environment, scratch, stop)
    except TimeoutError:
        result = None
        # It lives and serves nobody. Without its socket it gives way to a fresh one.
        (directory / name).unlink(missing_ok=True)
    if result is None or result["outcome"] == "not_confined":
        return runner.in_new_process(job, environment, scratch, stop)
    return result


def host_name(
    scanner: str, tool: Tool, entry_point: str, environment: Mapping[str, str]
) -> str:
    """Return the name of the socket of the host for exactly this tool, so started."""
    own = {key: environment[key] for key in environment if key not in _OWN_PLACES}
    parts = [entry_point, str(tool.python), tool.version, tool.lock_digest, own]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"{scanner}-{digest[:16]}"


def ask(
    directory: Path,
    name: str,
    job: sandbox.Job,
    environment: Mapping[str, str],
    scratch: Scratch,
    stop: threading.Event,
) -> dict[str, Any] | None:
    """Have a host run `job`; None when no host took it: then nothing has run.

    Raises `TimeoutError` for a host that is there and does not answer.
    """
    try:
        connection = _connected(directory, name)
    except OSError:
        return None
    with connection, connection.makefile("rb") as answers:
        try:
            supervisor = os.pidfd_open(int(answers.readline()))
        except TimeoutError:
            raise
        except (OSError, ValueError):
            return None  # it went between our call and its answer
        request = {"job": job.arguments(), "environment": dict(environment)}
        answer = b""
        try:
            connection.sendall(json.dumps(request).encode() + b"\n")
            connection.settimeout(None)
            answer = runner.listen(answers, job, stop)
        except OSError:
            pass  # the supervisor died: the run is lost, as a cold one would be
        finally:
            _end(connection, answers, supervisor)
        return runner.read_answer(answer, scratch, stop)


def _connected(directory: Path, name: str) -> socket.socket:
    """Connect by descriptor: a socket's path has at most 107 bytes (unix(7))."""
    folder = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_HELLO_SECONDS)
        connection.connect(f"/proc/self/fd/{folder}/{name}")
    except OSError:
        connection.close()
        raise
    finally:
        os.close(folder)
    return connection


def _end(connection: socket.socket, answers: IO[bytes], supervisor: int) -> None:
    """Let the supervisor know that it is over, and wait until it has swept."""
    try:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        connection.settimeout(runner.GRACE_SECONDS)
        try:
            while answers.read(1 << 16):
                pass
        except OSError:  # it does not come to its end, or died with words unread
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(supervisor, signal.SIGKILL)
    finally:
        os.close(supervisor)


@dataclass(slots=True)
class _Host:
    """One scanner's host: its process, if it has one, and how it fares."""

    scanner: Scanner
    name: str = ""
    process: subprocess.Popen[bytes] | None = None
    state: str = "starting"
    failures: int = 0
    next_start: float = 0.0

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def end(self) -> None:
        """Let it go. What it has forked goes on: each watches its own worker."""
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process = None


class Hosts:
    """A thread that keeps a host for each scanner, in `directory`, which is its own.

    `tool_of` returns the tool as installed now, or raises `ScannerError`: a host whose
    tool has changed is replaced. Hosts start one after the other, as they are needed by
    nobody yet.
    """

    def __init__(
        self,
        directory: Path,
        scanners: Sequence[Scanner],
        tool_of: Callable[[str], Tool],
        rung: Rung,
        scans: int = SCANS,
    ) -> None:
        self.directory = directory
        self._tool_of = tool_of
        self._rung = rung
        self._scans = scans
        self._hosts = [_Host(scanner) for scanner in scanners]
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="hosts", daemon=True)

    def start(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True, mode=0o700)
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        if self._thread.ident is not None:  # else it was never started
            self._thread.join()
        shutil.rmtree(self.directory, ignore_errors=True)

    def states(self) -> dict[str, str]:
        """Return `WARM` for each scanner whose host takes scans, else why not."""
        return {host.scanner.name: host.state for host in self._hosts}

    def processes(self) -> dict[str, int]:
        """Return the process ids of the hosts that are ready, by scanner."""
        return {
            host.scanner.name: host.process.pid
            for host in self._hosts
            if host.state == WARM and host.process is not None
        }

    def _keep(self) -> None:
        try:
            while not self._is_over.is_set():
                for host in self._hosts:
                    self._see_to(host)
                self._is_over.wait(_LOOK_SECONDS)
        finally:
            for host in self._hosts:
                host.end()

    def _see_to(self, host: _Host) -> None:
        """Start a host that is not there, replace one whose tool is another now."""
        try:
            tool = self._tool_of(host.scanner.name)
        except ScannerError as error:
            host.end()
            host.state = str(error)
            return
        environment = self._environment(host.scanner, tool)
        entry_point = host.scanner.entry_point
        name = host_name(host.scanner.name, tool, entry_point, environment)
        if host.is_alive and host.name == name:
            if (self.directory / name).exists():
                return
            host.end()
            self._note_failure(host, "its host did not answer")
        if host.process is not None and not host.is_alive:
            self._note_end(host)
        if self._is_over.is_set() or time.monotonic() < host.next_start:
            return
        host.end()
        host.name, host.state = name, "starting"
        try:
            self._start(host, tool, environment)
            self._witness(host, tool)
        except (ScannerError, OSError) as error:
            host.end()
            self._note_failure(host, str(error))
        except ScanStopped:
            host.end()
        else:
            host.state, host.failures = WARM, 0

    def _note_end(self, host: _Host) -> None:
        code = host.process.returncode if host.process else 0
        host.end()
        if code:
            self._note_failure(host, f"its host ended with exit code {code}")

    def _note_failure(self, host: _Host, reason: str) -> None:
        pause = _BACK_OFF_SECONDS[min(host.failures, len(_BACK_OFF_SECONDS) - 1)]
        host.failures += 1
        host.next_start = time.monotonic() + pause
        host.state = reason
        logger.warning(
            "%s runs cold for %s s at least: %s", host.scanner.name, pause, reason
        )

    def _environment(self, scanner: Scanner, tool: Tool) -> dict[str, str]:
        nothing = Target(
            min(scanner.kinds), self.directory, elements=(), digest="", document={}
        )
        own = scanner.command(nothing).environment
        return runner.tool_environment(tool.python, self.directory, own)

    def _start(self, host: _Host, tool: Tool, environment: Mapping[str, str]) -> None:
        (self.directory / host.name).unlink(missing_ok=True)
        scanner = host.scanner
        with self._log(host).open("wb") as log:
            host.process = subprocess.Popen(
                [
                    *(*runner.start(tool.python), _INSIDE, host.name, str(self._scans)),
                    *(*scanner.warm_up, sandbox.WITNESS, "--", scanner.entry_point),
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=dict(environment),
                cwd=self.directory,
                start_new_session=True,
            )

    def _log(self, host: _Host) -> Path:
        return self.directory / f"{host.scanner.name}.log"

    def _witness(self, host: _Host, tool: Tool) -> None:
        """Wait until it takes a job, and see that its sandbox holds."""
        end = time.monotonic() + _START_SECONDS
        other = [] if self._rung is Rung.RLIMITS else [str(self._log(host))]
        while not self._is_over.is_set():
            if not host.is_alive or time.monotonic() > end:
                said = _last_line(self._log(host).read_bytes())
                raise ScannerError(f"its host did not start: {said}")
            completed = self._execute(host, tool, [sandbox.WITNESS, *other])
            if completed is None:
                self._is_over.wait(0.05)
                continue
            if completed.exit_code:
                said = _last_line(completed.stderr)
                raise ScannerError(f"the sandbox of its host does not hold: {said}")
            return
        raise ScanStopped

    def _execute(
        self, host: _Host, tool: Tool, words: Sequence[str]
    ) -> Completed | None:
        """Run one call in the host alone; None while it takes none."""

        def supervise(
            job: sandbox.Job,
            environment: Mapping[str, str],
            scratch: Scratch,
            stop: threading.Event,
        ) -> dict[str, Any]:
            try:
                result = ask(self.directory, host.name, job, environment, scratch, stop)
            except TimeoutError:
                result = None
            if result is None:
                raise _NotYetError
            return result

        try:
            return runner.execute(
                [*runner.start(tool.python), *words],
                name=tool.name,
                limits=_WITNESS_LIMITS,
                rung=self._rung,
                run_dir=self.directory,
                reach=Reach(readable=tool.readable, python=tool.python),
                environment={},
                files={},
                outputs=(),
                stop=self._is_over,
                supervise=supervise,
            )
        except _NotYetError:
            return None


def _last_line(text: bytes) -> str:
    lines = text.decode(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "no reason given")


class _NotYetError(Exception):
    """The host does not listen yet."""
