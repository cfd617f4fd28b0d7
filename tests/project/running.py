"""Runs our own commands as processes, in an installation of the test's own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests import planted

ROOT = Path(__file__).resolve().parents[2]
# What would lead a test's process to another test's database or server.
OURS = ("SENTRASCAN_", "DATABASE_", "CELERY_", "DJANGO_")


def environment(data: Path, **more: str) -> dict[str, str]:
    """Return the environment of an embedded installation below `data`."""
    scanners = os.environ.get("SENTRASCAN_SCANNERS_DIR", str(ROOT / "var" / "scanners"))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    return {
        **kept,
        "SENTRASCAN_DATA_DIR": str(data),
        "SENTRASCAN_SCANNERS_DIR": scanners,
        **more,
    }


def sentrascan(
    *arguments: str | Path,
    env: dict[str, str],
    cwd: Path = ROOT,
    typed: str = "",
    seconds: float = 180,
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, ROOT / "manage.py", *arguments],
        env=env,
        cwd=cwd,
        input=typed,
        capture_output=True,
        encoding="utf-8",
        timeout=seconds,
        check=False,
    )


def eventually(is_so: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.1)


class Running:
    """A command that runs until it is ended, and the lines it prints."""

    def __init__(self, *command: str, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *command],
            env=env,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        kept = planted.folder() / f"{self.process.pid}.started.log"
        with kept.open("a", encoding="utf-8") as file:
            for line in self.process.stdout:
                self.lines.append(line.rstrip("\n"))
                file.write(line)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, seconds: float = 90) -> re.Match[str]:
        deadline = time.monotonic() + seconds
        while True:
            if match := re.search(pattern, self.text):
                return match
            is_over = self.process.poll() is not None
            if is_over or time.monotonic() > deadline:
                self._reader.join(timeout=2)
                if match := re.search(pattern, self.text):
                    return match
                raise AssertionError(f"{pattern!r} did not come:\n{self.text}")
            time.sleep(0.05)

    def end(self, number: int = signal.SIGTERM, seconds: float = 30) -> int:
        """Send a signal, return the exit code; the test fails if it does not end."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout=seconds)
        self._reader.join(timeout=5)
        return code
