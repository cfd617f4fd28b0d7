"""PostgreSQL and Redis, to be killed and started again where they were."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.servers import (
    ROOT,
    _as_user,
    _make_cluster,
    _wait_for,
    free_port,
    postgres_programs,
)


@dataclass
class Store:
    """One server; `home` holds its data and its log."""

    home: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str | Path]:
        raise NotImplementedError

    def start(self) -> None:
        """Start it and wait until it says itself that it answers."""
        log = self.home / "log"
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.home,
            )
        _wait_for(self.port, self.process, log, b"eady to accept connections")

    def end(self, number: signal.Signals) -> None:
        """Send a signal and wait for the end, so that its port is free."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(60)
            self.process = None


class Postgres(Store):
    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/sentrascan"

    def make(self) -> None:
        programs = postgres_programs()
        if programs is None:
            raise SystemExit("no PostgreSQL here: apt-get install postgresql")
        self.home.mkdir(parents=True)
        if os.getuid() == ROOT:
            shutil.chown(self.home, "postgres", "postgres")
        with (self.home / "made").open("wb") as log:
            _make_cluster(programs, self.home, log)

    def make_database(self) -> None:
        """Call it once, on the running server."""
        everywhere = self.url.replace("/sentrascan", "/postgres")
        with psycopg.connect(everywhere, autocommit=True) as connection:
            connection.execute("CREATE DATABASE sentrascan")

    def command(self) -> list[str | Path]:
        programs = postgres_programs()
        if programs is None:
            raise FileNotFoundError("postgres")
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.home,
            # Servers are killed here, the machine is not: the page cache survives.
            "fsync": "off",
            "dynamic_shared_memory_type": "mmap",
            "max_connections": 200,
            "jit": "off",
        }
        return [
            *_as_user("postgres", signal.SIGQUIT),
            *(programs / "postgres", "-D", self.home / "data"),
            *(f"--{name}={value}" for name, value in options.items()),
        ]


class Redis(Store):
    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def make(self) -> None:
        self.home.mkdir(parents=True)

    def command(self) -> list[str | Path]:
        # Nothing is saved: it comes back empty.
        return [
            *_as_user("", signal.SIGKILL),
            *("redis-server", "--bind", "127.0.0.1", "--port", str(self.port)),
            *("--save", "", "--appendonly", "no", "--dir", self.home),
        ]
