"""`serve`, by the real command."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.project.running import (
    Running,
    environment,
    eventually,
    sentrascan,
)
from tests.servers import free_port

pytestmark = pytest.mark.slow


def test_it_becomes_the_web_server_and_ends_when_asked(tmp_path: Path):
    port = free_port()
    env = environment(tmp_path, SENTRASCAN_PORT=str(port))
    assert sentrascan("migrate", "-v0", env=env).returncode == 0
    running = Running("manage.py", "serve", env=env)
    url = f"http://127.0.0.1:{port}/api/v1/health"

    def is_up() -> bool:
        try:
            return httpx.get(url).content == b'{"status": "ok"}'
        except httpx.HTTPError:
            return False

    try:
        eventually(is_up, 60, "health")
        command = Path(f"/proc/{running.process.pid}/cmdline").read_text()
        assert "gunicorn" in command
        client = httpx.Client()
        # A connection that is kept open holds nobody up.
        client.get(f"{url}?q=a-secret-search")
        started = time.monotonic()
        assert running.end(signal.SIGTERM) == 0
        assert time.monotonic() - started < 15
    finally:
        running.end(signal.SIGKILL)
    assert "a-secret-search" not in running.text
    lines = [json.loads(line) for line in running.lines]
    assert any("Listening at" in line["message"] for line in lines)
    assert "error" not in running.text.lower()
