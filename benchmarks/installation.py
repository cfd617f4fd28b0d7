"""A throwaway installation to measure: `make run` with its data elsewhere."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from tests.servers import throwaway_servers

PROJECT = Path(__file__).resolve().parent.parent
KEY = re.compile(r"ssk_\w+")
START_SECONDS = 120


@dataclass(frozen=True)
class Installation:
    place: str
    url: str
    key: str
    start_seconds: float
    data: Path
    process_id: int


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(*, has_servers: bool = False) -> Iterator[Installation]:
    """Start web, worker and beat on a free port; stop them and remove everything.

    On SQLite and a queue of files, or with `has_servers` on PostgreSQL and Redis.
    """
    with throwaway_servers() if has_servers else nullcontext() as servers:
        places = {}
        place = "SQLite, queue of files"
        if servers is not None:
            _create_database(servers.database_url)
            places["DATABASE_URL"] = servers.database_url
            places["REDIS_URL"] = servers.redis_url
            place = "PostgreSQL, Redis"
        with _running(place, places) as here:
            yield here


def _create_database(url: str) -> None:
    server, _, name = url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


@contextmanager
def _running(place: str, places: Mapping[str, str]) -> Iterator[Installation]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="sentrascan-bench-") as data:
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "sentrascan_project.local"],
            cwd=PROJECT,
            env=os.environ
            | {
                "SENTRASCAN_DATA_DIR": data,
                "SENTRASCAN_PORT": str(port),
                "SENTRASCAN_SAMPLES": "0",
                "SENTRASCAN_RATE_LIMIT": "100000/min",
                **places,
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            key = _greeting(process)
            seconds = time.monotonic() - started
            url = f"http://127.0.0.1:{port}/api/v1"
            yield Installation(place, url, key, seconds, Path(data), process.pid)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def _greeting(process: subprocess.Popen[str]) -> str:
    if process.stdout is None:
        raise RuntimeError("started without a pipe")
    for line in process.stdout:
        if "API key" in line and (found := KEY.search(line)):
            return found.group()
    raise RuntimeError("the installation did not start")
