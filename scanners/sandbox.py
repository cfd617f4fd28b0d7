"""What a tool may see and do, and the ladder of ways to hold it to that.

Three rungs, strongest first: bubblewrap (namespaces, then Landlock and seccomp inside),
Landlock and seccomp, seccomp and resource limits alone. Each is put on in the child
before the tool starts; where any part cannot be, the tool does not start (exit 125).

Standard library only and cheap to import: it also runs under the tools' own Pythons,
and before every tool. For the same reason: no pathlib, dataclasses, json, subprocess.
Sources: capabilities(7), landlock(7), prctl(2), bwrap(1).
"""
# pathlib would cost each start of a tool several milliseconds
# ruff: noqa: PTH100, PTH102, PTH118, PTH120, PTH123

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys
from enum import StrEnum

from scanners import bubblewrap, landlock, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

NOT_CONFINED = 125  # exit status of a child whose sandbox could not be put on


class Rung(StrEnum):
    BUBBLEWRAP = "bubblewrap"
    LANDLOCK = "landlock"
    RLIMITS = "rlimits"


# The system that a tool's Python stands on; nothing that tells this machine's story.
SYSTEM = (
    "/bin", "/lib", "/lib32", "/lib64", "/usr/bin", "/usr/lib", "/usr/lib32",
    "/usr/lib64", "/usr/share", "/etc/ld.so.cache", "/etc/alternatives",
    "/etc/localtime", "/etc/mime.types", "/etc/os-release", "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf", "/sys/devices/system/cpu",
)  # fmt: skip
_PROC = ("cpuinfo", "meminfo", "stat", "version", "sys/vm/overcommit_memory")
# Not the whole directory: /proc/self/net shows the worker's connections.
_PROC_SELF = ("cmdline", "comm", "fd", "limits", "maps", "stat", "statm", "status")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")

PACKAGE = os.path.dirname(os.path.abspath(__file__))
HOME = os.path.dirname(PACKAGE)
# Runs a function of this package under any Python, without its site directories:
# `python -I -S -c BOOT HOME MODULE FUNCTION ARGUMENT...`
BOOT = """import sys
_, home, module, function = sys.argv[:4]
del sys.argv[1:4]
sys.path.append(home)
getattr(__import__("scanners." + module, fromlist="*"), function)()
"""


class Job:
    """One confined program. Sizes in bytes, times in seconds, 0 for "no limit".

    It travels as command-line arguments, which need no parser (importing `json` costs
    10 ms); the environment travels as the environment.
    """

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self.rung = ""
        self.python = sys.executable  # starts the second half of the bubblewrap rung
        self.readable: list[str] = []  # and executable
        self.target = ""  # readable only
        self.scratch = ""
        self.working_directory = ""
        self.uid = 0  # 0: stays as it is
        self.wall_seconds = 0.0
        self.cpu_seconds = 0
        self.memory_bytes = 0
        self.file_bytes = 0
        self.output_bytes = 0
        self.open_files = 0
        self.processes = 0
        self.source = 0  # descriptor of the file that is its standard input, 0: none
        self.out = ""  # files that take the streams
        self.err = ""
        # The one port that it may connect to: its proxy's. On the bubblewrap rung that
        # is in the job's own network, and the listener leaves through this descriptor.
        self.proxy_port = 0
        self.door = 0
        # A stream socket that the program finds open under this number: what it hands
        # over there its caller answers.
        self.channel = 0
        self.is_inside = False  # inside bubblewrap already

    def arguments(self) -> list[str]:
        found = []
        for name, value in vars(self).items():
            if name != "command":
                values = value if isinstance(value, list) else [value]
                found += [f"{name}={each}" for each in values]
        return [*found, "--", *self.command]

    @classmethod
    def from_arguments(cls, arguments: list[str]) -> Job:
        end = arguments.index("--")
        job = cls(arguments[end + 1 :])
        for argument in arguments[:end]:
            name, _, text = argument.partition("=")
            now = getattr(job, name)
            if isinstance(now, list):
                now.append(text)
            elif isinstance(now, bool):
                setattr(job, name, text == "True")
            else:
                setattr(job, name, type(now)(text))
        return job


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]

PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP = 1, 4, 24
_PR_SET_SECCOMP, _PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 22, 36, 38


def prctl(option: int, first: int = 0, second: int = 0) -> int:
    """Raises `OSError`."""
    answer: int = _libc.prctl(option, first, second, 0, 0)
    if answer < 0:
        raise _failed("prctl")
    return answer


def _failed(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


def become_subreaper() -> None:
    """Inherit every orphan below, and be no process that one of them could read."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    prctl(_PR_SET_DUMPABLE, 0)


def become_expendable() -> None:
    """Die with the parent; be the first to go when the machine runs out of memory."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    prctl(_PR_SET_DUMPABLE, 1)
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass  # /proc may be read-only; the limits stand without it
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(each, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)


def confine(job: Job, ready: int) -> NoReturn:
    """Turn this process into `job`'s program, confined as its rung says.

    `ready` is a descriptor that receives "+" right before the program starts; anything
    else, or nothing, means that it never ran. Leaves with `NOT_CONFINED` then.
    """
    try:
        if job.rung == Rung.BUBBLEWRAP and not job.is_inside:
            os.set_inheritable(ready, True)
            arguments = bubblewrap.command(job, SYSTEM, _second_half(job, ready))
            os.execv(arguments[0], arguments)
        os.set_inheritable(ready, False)
        if job.door:
            _hand_over_listener(job)
        restrict(job)
        os.chdir(job.working_directory)
        os.write(ready, b"+")
        os.execv(job.command[0], job.command)
    except (OSError, ValueError, KeyError) as error:
        os.write(ready, str(error).encode(errors="replace"))
    os._exit(NOT_CONFINED)


def _second_half(job: Job, ready: int) -> list[str]:
    inner = Job.from_arguments(job.arguments())
    inner.is_inside = True
    boot = [job.python, "-I", "-S", "-c", BOOT, HOME, "sandbox", "main"]
    return [*boot, str(ready), *inner.arguments()]


def main() -> NoReturn:
    """Be the second half of the bubblewrap rung: `python ... READY-FD JOB...`."""
    confine(Job.from_arguments(sys.argv[2:]), int(sys.argv[1]))


def _hand_over_listener(job: Job) -> None:
    """Listen here, in a network of our own, for one who accepts outside of it."""
    import _socket  # `socket` costs more, and few jobs come here

    listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", job.proxy_port))
    listener.listen(64)
    rights = struct.pack("i", listener.fileno())
    door = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, job.door)
    door.sendmsg([b"+"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
    door.close()
    listener.close()


def restrict(job: Job) -> None:
    """Give up, in this process and for good, what `job` does not grant.

    Raises `OSError`, and `KeyError` for a machine without a table of system calls.
    """
    _limit(job)
    if job.uid and os.geteuid() != job.uid:
        os.setgroups([])
        os.setresgid(job.uid, job.uid, job.uid)
        os.setresuid(job.uid, job.uid, job.uid)
        # a change of uid takes both away
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        prctl(_PR_SET_DUMPABLE, 1)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    drop_capabilities()
    abi = 0
    if job.rung != Rung.RLIMITS:
        abi = landlock.abi()
        if abi:
            landlock.restrict(_grants(job), abi, job.proxy_port)
        elif job.rung == Rung.LANDLOCK:
            raise OSError(0, "this kernel has no Landlock")
    if job.proxy_port and not job.is_inside and abi < landlock.HAS_TCP:
        raise OSError(0, "nothing here holds a program to one port")
    are_signals_scoped = abi >= 6 or job.is_inside
    seccomp(
        syscalls.program(
            os.uname().machine,
            own_pid=0 if are_signals_scoped else os.getpid(),
            is_truncate_open=abi < 3,
            has_proxy=bool(job.proxy_port),
        )
    )


def _limit(job: Job) -> None:
    # Above what the supervisor watches, so that a program over the line is ended by
    # someone who can say why, and still cannot go far before it is seen.
    memory = job.memory_bytes and job.memory_bytes + (512 << 20)
    file = min(job.file_bytes, job.output_bytes + (1 << 20)) or job.file_bytes
    limits = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, job.cpu_seconds),
        (resource.RLIMIT_FSIZE, file),
        (resource.RLIMIT_NOFILE, job.open_files),
    ]
    if job.uid:
        # It counts all processes of an account: usable only on one that is the tools'.
        limits.append((resource.RLIMIT_NPROC, job.processes * 16))
    for number, value in limits:
        if value or number == resource.RLIMIT_CORE:
            hard = resource.getrlimit(number)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            # SIGXCPU first, which says what happened; SIGKILL would come at "hard".
            grace = number == resource.RLIMIT_CPU and value != hard
            resource.setrlimit(number, (value, value + grace))


def drop_capabilities() -> None:
    """Leave a process of root with no more than the files it owns."""
    for capability in range(64):
        try:
            prctl(_PR_CAPBSET_DROP, capability)
        except OSError:
            # Past the kernel's last one, or not ours to drop: no_new_privs keeps the
            # next program from gaining it all the same.
            break
    header = struct.pack("=Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, self
    if _libc.capset(ctypes.c_char_p(header), ctypes.c_char_p(bytes(24))):
        raise _failed("capset")


def _grants(job: Job) -> list[landlock.Grant]:
    """What Landlock leaves open: the system, the tool, one target, one scratch."""
    proc = ["/proc"]
    if not job.is_inside:
        proc = [f"/proc/{name}" for name in _PROC]
        proc += [f"/proc/self/{name}" for name in _PROC_SELF]
    return [
        *((path, landlock.RUN, True) for path in SYSTEM),
        *((path, landlock.LOOK, True) for path in proc),
        *((path, landlock.USE, True) for path in DEVICES),
        *((path, landlock.RUN, False) for path in job.readable),
        *((path, landlock.LOOK, False) for path in [job.target] if path),
        (job.scratch, landlock.KEEP, False),
    ]


def seccomp(program: bytes) -> None:
    """Hold this process, and all it starts, to a filter of `syscalls`, for good.

    It must have set no_new_privs. Raises `OSError`.
    """
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    kept = ctypes.create_string_buffer(header, len(header))
    prctl(_PR_SET_SECCOMP, 2, ctypes.addressof(kept))


# Runs on each rung that is tried: ends well if the rung holds.
WITNESS = "scanners.witness:main"

_answers: list[tuple[Rung | None, dict[Rung, str]]] = []


def climb() -> tuple[Rung | None, dict[Rung, str]]:
    """Try the rungs for real, strongest first, once in the life of this process.

    Returns the first that holds (None if none does), and why each above it does not.
    """
    if not _answers:
        reasons: dict[Rung, str] = {}
        for rung in Rung:
            reason = _try(rung)
            if not reason:
                break
            reasons[rung] = reason
        _answers.append((None if reason else rung, reasons))
    return _answers[0]


def probe() -> Rung:
    """Return the strongest rung that works here. Raises `OSError` if none does."""
    rung, reasons = climb()
    if rung is None:
        raise OSError(0, f"no sandbox works here: {reasons[Rung.RLIMITS]}")
    return rung


def _try(rung: Rung) -> str:
    """Return why `rung` does not hold here, "" if it does."""
    # Only here: they cost more than all the rest of this file, before every tool.
    import subprocess
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        launch = os.path.join(PACKAGE, "launch.py")
        job = Job([sys.executable, "-I", "-S", launch, WITNESS])
        if rung != Rung.RLIMITS:
            job.command.append(os.path.join(folder, "other"))
        job.rung = rung
        job.readable = [sys.base_prefix, sys.prefix, os.path.realpath(sys.executable)]
        job.readable.append(PACKAGE)
        job.scratch = job.working_directory = os.path.join(folder, "scratch")
        os.mkdir(job.scratch)
        with open(os.path.join(folder, "other"), "w"):
            pass
        boot = [sys.executable, "-I", "-S", "-c", BOOT, HOME, "sandbox", "main", "2"]
        try:
            done = subprocess.run(
                [*boot, *job.arguments()], env={}, capture_output=True, timeout=30
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    words = done.stderr.decode(errors="replace").lstrip("+").split("\n")
    return "" if done.returncode == 0 else words[0] or f"exit code {done.returncode}"
