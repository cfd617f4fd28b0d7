"""Calls `docker-compose` on the product's compose file, in a project of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "sentrascan-tests"
PORT = 8299
# Beside an installation on this host, whose subnet and port are in use.
APART = {
    "SENTRASCAN_FRONT_SUBNET": "10.182.255.0/24",
    "SENTRASCAN_PUBLISH": f"127.0.0.1:{PORT}",
    "SENTRASCAN_RATE_LIMIT": "100000/min",
}


def compose(
    *arguments: str, files: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """Return what it answered; with `files` laid over, and `environment` for them."""
    names = ("docker-compose.yml", "tests/container/compose.yml", *files)
    chosen = [word for name in names for word in ("-f", name)]
    is_asked = "-T" in arguments
    return subprocess.run(
        ["docker-compose", "-p", PROJECT, *chosen, *arguments],
        cwd=ROOT,
        env=APART | os.environ | environment,
        stdout=subprocess.PIPE if is_asked else None,
        text=True,
        check=False,
    )


def expect(seen: object, wanted: object) -> None:
    if seen != wanted:
        raise SystemExit(f"{seen!r} is not {wanted!r}")
