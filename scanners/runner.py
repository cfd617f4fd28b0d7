"""One tool run: time, memory, output and reach bounded; nothing of it survives.

Safe to call from several threads of one process at once: no global state, no signal
handler, no code of ours between fork and exec. All that is done by a supervisor, a
small process of its own (`supervisor.py`), which ends with this one, however that ends.
"""

from __future__ import annotations

import json
import os
import select
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import IO, Any

from scanners import sandbox
from scanners.contract import (
    Completed,
    Limits,
    Report,
    Scanner,
    ScannerError,
    ScannerExceeded,
    ScannerMissing,
    ScannerTimeout,
    ScanStopped,
    Target,
)
from scanners.sandbox import Rung
from scanners.scratch import Scratch, UnsafeOutputError, read_plain

LAUNCH = Path(__file__).with_name("launch.py")
_UNPRIVILEGED = 65534  # "nobody"
_STOP_SECONDS = 0.1  # how often a stop is looked for
GRACE_SECONDS = 30  # for the supervisor to sweep after the wall time
_TAIL_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Tool:
    """An installed tool: its interpreter, and the directories that it must see."""

    name: str
    python: Path
    version: str
    lock_digest: str
    readable: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    report: Report
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Reach:
    """What a confined program may read besides the system, and which Python it is.

    `target` is a directory or None. `python` also starts the second half of the
    bubblewrap rung. `proxy_port`, `door` and `channel` are those of `sandbox.Job`: 0
    for no network at all, and for no channel.
    """

    readable: tuple[Path, ...] = ()
    target: Path | None = None
    python: Path = field(default_factory=lambda: Path(sys.executable))
    proxy_port: int = 0
    door: int = 0
    channel: int = 0


# Runs a job under a supervisor, its streams going to the scratch, and returns the
# supervisor's answer. Raises `ScanStopped`; nothing of the job is left in any case.
type Supervise = Callable[
    [sandbox.Job, Mapping[str, str], Scratch, Event], dict[str, Any]
]


def run(
    scanner: Scanner,
    tool: Tool,
    target: Target,
    *,
    limits: Limits,
    rung: Rung,
    run_dir: Path,
    stop: Event,
    supervise: Supervise | None = None,
) -> Finished:
    """Run `scanner`'s tool on `target` in the sandbox `rung` and read its report.

    `supervise` starts it in another way than as a new process. Raises `ScannerMissing`,
    `ScannerTimeout`, `ScannerError` with a sentence for people, `ScanStopped` once
    `stop` is set. No file or process is left in any case.
    """
    started = time.monotonic()
    if not tool.python.exists():
        raise ScannerMissing(f"{tool.name} is not installed: its Python is not there")
    command = scanner.command(target)
    completed = execute(
        [*start(tool.python), scanner.entry_point, *command.arguments],
        name=tool.name,
        environment=command.environment,
        limits=limits,
        rung=rung,
        run_dir=run_dir,
        reach=_reach(scanner, tool, target),
        files=command.files,
        outputs=command.outputs,
        stop=stop,
        supervise=supervise,
    )
    report = _parse(scanner, target, completed, tool.name)
    return Finished(report, round((time.monotonic() - started) * 1000))


def _reach(scanner: Scanner, tool: Tool, target: Target) -> Reach:
    # a module of ours may run under a tool's Python: it then needs the package too
    own = LAUNCH.parent if scanner.entry_point.startswith("scanners.") else LAUNCH
    # an MCP target is in the command's files, if anywhere
    root = None if target.document is not None else target.root
    return Reach(readable=(*tool.readable, own), target=root, python=tool.python)


def _parse(scanner: Scanner, target: Target, completed: Completed, name: str) -> Report:
    try:
        return scanner.parse(target, completed)
    except ScannerError:
        raise
    # A report is untrusted input: whatever a reader trips over, it is no answer.
    except Exception as error:
        said = _printable(completed.stderr or completed.stdout)
        raise ScannerError(
            f"{name} left a report that cannot be read"
            f" ({type(error).__name__}); it said: {said or 'nothing'}"
        ) from error


def execute(
    arguments: Sequence[str],
    *,
    name: str,
    limits: Limits,
    rung: Rung,
    run_dir: Path,
    reach: Reach,
    environment: Mapping[str, str],
    files: Mapping[str, bytes],
    outputs: Sequence[str],
    stop: Event,
    supervise: Supervise | None = None,
) -> Completed:
    """Run one program of `reach.python`'s world confined, and return what it left.

    `name` begins the sentences of the errors, which are those of `run`. `{scratch}` in
    an argument stands for the absolute path of the working directory.
    """
    if stop.is_set():
        raise ScanStopped(name)
    scratch = _scratch(name, run_dir, _uid_for(rung, reach))
    try:
        _lay_out(name, scratch, files)
        job = _job(arguments, limits, rung, reach, scratch)
        surroundings = tool_environment(reach.python, scratch.path, environment)
        result = (supervise or in_new_process)(job, surroundings, scratch, stop)
        _judge(name, result, limits)
        try:
            return _completed(result, scratch, outputs, limits)
        except UnsafeOutputError as error:
            raise ScannerError(f"{name} {error}") from error
    finally:
        scratch.remove()


def _scratch(name: str, run_dir: Path, uid: int) -> Scratch:
    try:
        return Scratch(run_dir, uid)
    except OSError as error:
        raise _no_room(name, error) from error


def _lay_out(name: str, scratch: Scratch, files: Mapping[str, bytes]) -> None:
    try:
        for file, content in files.items():
            scratch.write(file, content)
    except OSError as error:
        raise _no_room(name, error) from error


def _no_room(name: str, error: OSError) -> ScannerError:
    # A full disk, most likely: no fault of ours, and others may need less.
    return ScannerError(f"{name} was not started, its files have no room: {error}")


def _uid_for(rung: Rung, reach: Reach) -> int:
    """Return the uid to run as: nobody's, where we are root and it can read it all."""
    if os.geteuid() or rung is not Rung.BUBBLEWRAP:
        # Only bubblewrap's binds lead past folders that are closed to others.
        return 0
    places = [*reach.readable, reach.python.resolve()]
    if not all(_is_open(place) for place in places if place.exists()):
        return 0
    if reach.target is not None:
        for folder, folders, names in os.walk(reach.target):
            each = (Path(folder, name) for name in (*folders, *names))
            if not _is_open(Path(folder)) or not all(map(_is_open, each)):
                return 0
    return _UNPRIVILEGED


def _is_open(path: Path) -> bool:
    facts = path.lstat()
    needed = 0o005 if stat.S_ISDIR(facts.st_mode) else 0o004
    return stat.S_ISLNK(facts.st_mode) or facts.st_mode & needed == needed


def _job(
    arguments: Sequence[str], limits: Limits, rung: Rung, reach: Reach, scratch: Scratch
) -> sandbox.Job:
    where = str(scratch.path)
    job = sandbox.Job([each.replace("{scratch}", where) for each in arguments])
    job.rung = rung.value
    job.python = str(reach.python)
    # The interpreter by all its names: a link is of no use to who cannot follow it.
    interpreter = reach.python.resolve()
    readable = {*reach.readable, reach.python, interpreter, interpreter.parent.parent}
    readable |= {each.resolve() for each in readable}
    readable -= {Path("/"), Path("/usr")}  # the sandbox shows its own part of them
    job.readable = sorted(str(each) for each in readable if each.exists())
    job.target = str(reach.target) if reach.target is not None else ""
    job.scratch = job.working_directory = where
    job.uid = scratch.uid
    for field_name in ("cpu_seconds", "memory_bytes", "file_bytes", "output_bytes"):
        setattr(job, field_name, getattr(limits, field_name))
    job.wall_seconds = float(limits.wall_seconds)
    job.open_files = limits.open_files
    job.processes = limits.processes
    job.proxy_port, job.door = reach.proxy_port, reach.door
    job.channel = reach.channel
    job.out, job.err = str(scratch.out), str(scratch.err)
    return job


def start(python: Path) -> tuple[str, ...]:
    """Return what begins each call of a tool; its entry point follows."""
    return str(python), "-I", str(LAUNCH)


def tool_environment(
    python: Path, home: Path, own: Mapping[str, str]
) -> dict[str, str]:
    """Return all that a tool inherits: nothing of ours."""
    return {
        "PATH": f"{python.parent}:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "TMPDIR": str(home),
        "NO_COLOR": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        **own,
    }


def in_new_process(
    job: sandbox.Job, environment: Mapping[str, str], scratch: Scratch, stop: Event
) -> dict[str, Any]:
    """Run a supervisor to its end and return its answer: a `Supervise`.

    Whatever flies through here, the pipe to the supervisor closes first, which ends it
    and all below it.
    """
    boot = [sys.executable, "-I", "-S", "-c", sandbox.BOOT, sandbox.HOME]
    with scratch.log.open("wb") as log:
        process = subprocess.Popen(
            [*boot, "supervisor", "main", *job.arguments()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=dict(environment),
            cwd="/",
            start_new_session=True,
            pass_fds=[each for each in (job.source, job.door, job.channel) if each],
        )
    try:
        answer = listen(_pipe(process.stdout), job, stop)
    finally:
        _end(process)
    return read_answer(answer, scratch, stop)


def listen(answers: IO[bytes], job: sandbox.Job, stop: Event) -> bytes:
    """Return what a supervisor says, b"" when it is to stop or is overdue."""
    end = time.monotonic() + job.wall_seconds + GRACE_SECONDS
    poll = select.poll()
    poll.register(answers, select.POLLIN)
    while not stop.is_set() and time.monotonic() < end:
        if poll.poll(_STOP_SECONDS * 1000):
            return answers.read()
    return b""


def read_answer(answer: bytes, scratch: Scratch, stop: Event) -> dict[str, Any]:
    """Read what a supervisor said before its end. Raises `ScanStopped`."""
    if stop.is_set():
        raise ScanStopped
    try:
        result: dict[str, Any] = json.loads(answer)
    except ValueError:
        said = scratch.log.read_text(errors="replace") if scratch.log.exists() else ""
        return {"outcome": "lost", "detail": _printable(said)}
    return result


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let the supervisor know that it is over, and wait until it has swept."""
    _pipe(process.stdin).close()
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        _pipe(process.stdout).close()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise TypeError("a supervisor is started with pipes")
    return stream


def _judge(name: str, result: Mapping[str, Any], limits: Limits) -> None:
    """Raise what any end but the tool's own amounts to, in words for people."""
    outcome = result["outcome"]
    if outcome == "exited":
        return
    if outcome == "timed_out":
        raise ScannerTimeout(f"{name} ran over its {limits.wall_seconds:g} s")
    detail = result.get("detail", "")
    over = {
        "memory": f"was killed: it used more than {_gigabytes(limits.memory_bytes)}"
        " of memory",
        "processes": f"was killed: it started more than {limits.processes} processes",
        "output": f"was killed: it wrote more than {_megabytes(limits.output_bytes)}",
        "hidden": "was killed: it closed a folder, so that what it writes is not seen",
        "cpu": f"was killed: it used more than {limits.cpu_seconds} s of processor"
        " time",
    }
    if outcome in over:
        raise ScannerExceeded(f"{name} {over[outcome]}", outcome)
    sentences = {
        "not_confined": f"was not started: its sandbox could not be put on ({detail})",
        "stopped": "was stopped",
    }
    lost = f"was lost: its supervisor ended without an answer {detail}".strip()
    raise ScannerError(f"{name} {sentences.get(outcome, lost)}")


def _completed(
    result: Mapping[str, Any], scratch: Scratch, outputs: Sequence[str], limits: Limits
) -> Completed:
    most = limits.output_bytes
    found = {name: scratch.read(name, most) for name in outputs}
    return Completed(
        exit_code=int(result["exit_code"]),
        stdout=read_plain(scratch.out, most),
        stderr=read_plain(scratch.err, most),
        outputs={name: each for name, each in found.items() if each is not None},
    )


def _printable(text: bytes | str) -> str:
    """Return the end of what a tool said, fit for a log, a terminal or a page."""
    if isinstance(text, bytes):
        text = text[-4 * _TAIL_CHARACTERS :].decode(errors="replace")
    words = " ".join(text.split())
    return "".join(c if c.isprintable() else "?" for c in words)[-_TAIL_CHARACTERS:]


def _gigabytes(size: int) -> str:
    return f"{size / (1 << 30):.1f} GB"


def _megabytes(size: int) -> str:
    return f"{size / (1 << 20):.0f} MB"
