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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
KEY = re.compile(r"ssk_\w+")
START_SECONDS = 120


@dataclass(frozen=True)
class Installation:
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
def running() -> Iterator[Installation]:
    """Start web, worker and beat on a free port; stop them and remove everything."""
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
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            key = _greeting(process)
            seconds = time.monotonic() - started
            url = f"http://127.0.0.1:{port}/api/v1"
            yield Installation(url, key, seconds, Path(data), process.pid)
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
