"""Throwaway PostgreSQL and Redis of one test session, ended whatever happens to it.

Run as a program this is the keeper: it starts both servers in a temporary directory,
prints where they answer as one line of JSON, and ends them when its input closes, which
the kernel does for a session killed by SIGKILL too. Standard library only.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

PATIENCE_SECONDS = 60  # a busy machine of two processors takes its time
ROOT = 0
_numbers = itertools.count(os.getpid())


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the servers answer, and a directory that goes when they go."""

    database_url: str
    redis_url: str
    directory: Path


@contextmanager
def throwaway_servers(*, is_sqlite: bool = False) -> Iterator[Servers]:
    """Keep a PostgreSQL and a Redis server while the block runs.

    With `is_sqlite` only the directory, and empty URLs.
    """
    with subprocess.Popen(
        [sys.executable, "-I", __file__, *(["directory"] if is_sqlite else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the session; the keeper ends after it
    ) as keeper:
        if keeper.stdin is None or keeper.stdout is None:
            raise AssertionError
        try:
            answer = keeper.stdout.readline()
            if not answer:
                raise RuntimeError("the throwaway servers did not start; see above")
            said = json.loads(answer)
            yield Servers(said["database"], said["redis"], Path(said["directory"]))
        finally:
            # A word, not only the end of the pipe: a forgotten child may hold its copy.
            keeper.stdin.write("end\n")
            keeper.stdin.close()
            keeper.wait(PATIENCE_SECONDS)


def _keep() -> None:
    """Start both servers, say where, wait for the end, clean up."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG, see prctl(2)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    directory = Path(tempfile.mkdtemp(prefix="sentrascan-test-"))
    started: list[subprocess.Popen[bytes]] = []
    try:
        directory.chmod(0o755)
        database = redis = ""
        if sys.argv[1:] != ["directory"]:
            database = _start_postgres(directory / "postgres", started)
            redis = _start_redis(directory / "redis", started)
        said = {"database": database, "redis": redis, "directory": str(directory)}
        sys.stdout.write(f"{json.dumps(said)}\n")
        sys.stdout.flush()
        sys.stdin.readline()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for server in started:
            server.send_signal(signal.SIGQUIT)  # PostgreSQL: at once, with its children
            with suppress(subprocess.TimeoutExpired):
                server.wait(0.5)
            server.kill()
            server.wait()
        shutil.rmtree(directory, ignore_errors=True)


def _start_postgres(home: Path, started: list[subprocess.Popen[bytes]]) -> str:
    programs = postgres_programs()
    if programs is None:
        raise SystemExit("no PostgreSQL on this machine: apt-get install postgresql")
    home.mkdir()
    if os.getuid() == ROOT:
        shutil.chown(home, "postgres", "postgres")
    port = free_port()
    options = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": home,
        # Nothing here outlives the session, so nothing needs to survive a crash.
        **dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes"), "off"),
        "dynamic_shared_memory_type": "mmap",  # /dev/shm is small in containers
        "max_connections": 200,
        "jit": "off",
    }
    with (home / "log").open("wb") as log:
        _make_cluster(programs, home, log)
        started.append(
            subprocess.Popen(
                [
                    *_as_user("postgres", signal.SIGQUIT),
                    *(programs / "postgres", "-D", home / "data"),
                    *(f"--{name}={value}" for name, value in options.items()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=home,
            )
        )
    _wait_for(port, started[-1], home / "log", b"ready to accept connections")
    return f"postgres://postgres@127.0.0.1:{port}/sentrascan"


def _make_cluster(programs: Path, home: Path, log: BinaryIO) -> None:
    subprocess.run(
        [
            *_as_user("postgres"),
            *(programs / "initdb", "--pgdata", home / "data", "--auth", "trust"),
            *("--username", "postgres", "--encoding", "UTF8", "--no-sync"),
            *("--locale", "C.UTF-8", "--no-instructions"),
        ],
        check=True,
        stdout=log,
        stderr=log,
        cwd=home,
    )


def _start_redis(home: Path, started: list[subprocess.Popen[bytes]]) -> str:
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit("no Redis on this machine: apt-get install redis-server")
    home.mkdir()
    port = free_port()
    with (home / "log").open("wb") as log:
        started.append(
            subprocess.Popen(
                [
                    *_as_user("", signal.SIGKILL),
                    *(program, "--bind", "127.0.0.1", "--port", str(port)),
                    *("--save", "", "--appendonly", "no", "--dir", str(home)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        )
    _wait_for(port, started[-1], home / "log", b"eady to accept connections")
    return f"redis://127.0.0.1:{port}/0"


def postgres_programs() -> Path | None:
    """Return the folder of the newest PostgreSQL server here."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"),
        key=lambda path: int(path.parent.parent.name),
    )
    if found:
        return found[-1].parent
    program = shutil.which("postgres")
    return Path(program).resolve().parent if program else None


def _as_user(name: str, death: signal.Signals | None = None) -> list[str]:
    """Return what runs a command as user `name` (only root can, '' for as we are).

    `death`: what the kernel sends the command when we die, whatever we die of.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return []
    words = [setpriv]
    if name and os.getuid() == ROOT:
        user = pwd.getpwnam(name)
        words += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups"]
    if death:
        words += ["--pdeathsig", death.name.removeprefix("SIG")]
    return words if len(words) > 1 else []


def free_port() -> int:
    """Return a port that nobody has, nor is given before it is bound.

    The kernel gives away those of its range. Of the 8,000 before it each process of a
    parallel run has a thousand for itself, and takes them in turn.
    """
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw7").removeprefix("gw"))
    begin = max(1024, first - 8000) + process % 8 * 1000
    for number in itertools.islice(_numbers, 1000):
        port = begin + number % 1000
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise SystemExit("no free port among a thousand")


def _wait_for(
    port: int, server: subprocess.Popen[bytes], log: Path, word: bytes
) -> None:
    """Wait until the server says so itself: another may answer on its port."""
    end = time.monotonic() + PATIENCE_SECONDS
    while word not in log.read_bytes():
        if server.poll() is not None or time.monotonic() > end:
            sys.stderr.write(log.read_text(errors="replace"))
            raise SystemExit(f"no server on port {port}")
        time.sleep(0.02)


if __name__ == "__main__":
    _keep()
