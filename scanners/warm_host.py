"""A process that has imported a tool, and forks a child for each scan: the inside.

`python -I launch.py scanners.warm_host:main SOCKET SCANS WARM-UP... -- ENTRY-POINT`,
run by the tool's own Python with the tool's environment; `hosts.py` is the outside. It
never sees a scan: each connection is given to a child at once, which reads the request
itself and becomes the supervisor of that one run. So nothing of a scan can stay here.

It takes no network from the first import on (seccomp), has one thread when it forks,
and ends with its worker, after `SCANS` scans, or when it has grown. Standard library
only.
"""
# pathlib would be one more module in every tool's memory
# ruff: noqa: PTH123, PTH208

from __future__ import annotations

import gc
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import tempfile
import traceback
from importlib import import_module

from scanners import launch, namespaces, sandbox, supervisor, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_MOST_REQUEST = 1 << 20
_WAITING = 64
_GROWTH_BYTES = 64 << 20
_PAGE = os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Import, then serve until it is time to make room for a fresh one."""
    place, scans, *modules = sys.argv[1:]
    end = modules.index("--")
    sandbox.prctl(sandbox.PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries our children
    os.umask(0o022)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(place)  # nobody can connect before `listen`
    os.chdir("/")
    sandbox.prctl(sandbox.PR_SET_NO_NEW_PRIVS, 1)
    sandbox.seccomp(syscalls.without_network(os.uname().machine))
    warm_up([modules[end + 1], *modules[:end]])
    if threads() != 1:
        sys.exit(f"importing it left {threads()} threads: no fork is safe then")
    gc.collect()
    gc.freeze()  # so that no collection of a child copies what all of them share
    listener.listen(_WAITING)
    serve(listener, int(scans))


def warm_up(names: list[str]) -> None:
    """Import `package.module`, all below `package.*`, or call `module:function()`."""
    for name in names:
        module, _, function = name.removesuffix(".*").partition(":")
        imported = import_module(module)
        if name.endswith(".*"):
            for each in pkgutil.walk_packages(imported.__path__, f"{module}."):
                import_module(each.name)
        elif function.endswith("()"):
            getattr(imported, function.removesuffix("()"))()


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def serve(listener: socket.socket, scans: int) -> None:
    """Give each connection to a child, until the worker ends or our time has come."""
    most = resident_bytes() + _GROWTH_BYTES
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(listener, select.POLLIN)
    while scans > 0 and resident_bytes() < most:
        events = {number for number, _ in poll.poll()}
        if 0 in events:
            return  # the worker is gone, or wants us gone
        connection, _ = listener.accept()
        scans -= 1
        if os.fork() == 0:
            listener.close()
            _be_supervisor(connection)
        connection.close()


def resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE


def _be_supervisor(connection: socket.socket) -> NoReturn:
    """Answer one request: the job's arguments and the environment of its tool.

    The connection's end means that the worker died, or wants the tool gone.
    """
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(connection.fileno(), 0)
        os.dup2(connection.fileno(), 1)
        os.closerange(3, 1 << 20)
        # A request may be sent from here on: what comes before could be lost.
        os.write(1, f"{os.getpid()}\n".encode())
        request = json.loads(_line())
        job = sandbox.Job.from_arguments(request["job"])
        if job.rung == sandbox.Rung.BUBBLEWRAP:
            namespaces.leave_processes()

        def confine(job: sandbox.Job, ready: int) -> NoReturn:
            _be_tool(job, ready, request["environment"])

        supervisor.supervise(job, confine)
    except OSError as error:
        _refuse(error)
    # To the host's log: without an answer the worker takes the run for lost.
    except Exception:  # noqa: BLE001 - see above
        traceback.print_exc()
    finally:
        os._exit(0)


def _line() -> bytes:
    said = b""
    while not said.endswith(b"\n"):
        piece = os.read(0, 1 << 16)
        if not piece or len(said) > _MOST_REQUEST:
            os._exit(0)
        said += piece
    return said


def _refuse(error: OSError) -> None:
    """Say that nothing was started. The worker may be gone: then nobody asks."""
    answer = {"outcome": "not_confined", "exit_code": 0, "detail": str(error)}
    os.write(1, json.dumps(answer).encode())


def _be_tool(job: sandbox.Job, ready: int, environment: dict[str, str]) -> NoReturn:
    """Put the sandbox on, then do what `job.command` would do in a new process."""
    try:
        if job.rung == sandbox.Rung.BUBBLEWRAP:
            namespaces.enter(job, ready)
            job.is_inside = True
        sandbox.restrict(job)
        os.chdir(job.working_directory)
        _forget(environment)
        os.write(ready, b"+")
        os.close(ready)
    except (OSError, ValueError, KeyError) as error:
        os.write(ready, str(error).encode(errors="replace"))
        os._exit(sandbox.NOT_CONFINED)
    # python -I launch.py ENTRY-POINT ARGUMENT...
    sys.argv = job.command[2:]
    os._exit(launch.ended(launch.main))


def _forget(environment: dict[str, str]) -> None:
    """Be as a new process is: its environment, its random numbers, its caches."""
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()  # `random` sees to itself after a fork
