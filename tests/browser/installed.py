"""An installation of our own that a browser visits: `make run` below a fresh folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx

from tests.project.running import ROOT, Running, environment, eventually
from tests.servers import free_port

PASSWORD = "correct-horse-battery"
# What is not loaded in this time is not live, whatever else this machine does.
START_SECONDS = 120


class Installed:
    """Web, worker and housekeeping on a port of their own, with SQLite."""

    def __init__(self, data: Path, **more: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = environment(
            data,
            SENTRASCAN_PORT=str(self.port),
            SENTRASCAN_SAMPLES="0",
            SENTRASCAN_SCAN_ROOTS=str(data / "models"),
            # A test that signs in and out again is no guesser.
            SENTRASCAN_AUTH_FAILURES_PER_MINUTE="1000",
            **more,
        )
        (data / "models").mkdir(parents=True)
        self.filled: dict[str, str] = {}
        self._running: Running | None = None

    def fill(self, *arguments: str) -> str:
        """Run `tests.browser.filling` on its database and return what it prints."""
        command = [sys.executable, "-m", "tests.browser.filling", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        self._running = Running("-m", "sentrascan_project.local", env=self.env)
        self._running.wait_for("Press Ctrl-C to stop", seconds=START_SECONDS)

    def stop(self) -> None:
        if self._running:
            self._running.end()

    def migrate(self) -> None:
        command = [sys.executable, str(ROOT / "manage.py"), "migrate", "-v0"]
        subprocess.run(command, cwd=ROOT, env=self.env, check=True, stdout=None)

    def api(self, key: str) -> httpx.Client:
        return httpx.Client(
            base_url=f"{self.url}/api/v1/", headers={"X-API-Key": key}, timeout=120
        )


def chromium() -> str:
    """Return where Debian's or the environment's Chromium is."""
    asked = os.environ.get("CHROMIUM", "")
    places = [asked, "/usr/bin/chromium", "/usr/bin/chromium-browser"]
    found = [place for place in places if place and Path(place).exists()]
    assert found, "no Chromium: run deploy/test-servers.sh, or set CHROMIUM"
    return found[0]


__all__ = ["PASSWORD", "Installed", "chromium", "eventually"]
