"""A place from which a test asks far MCP servers, through the real inquiry."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from scanners import inquiry
from scanners.addresses import Allowed
from scanners.contract import Target
from scanners.inquiry import Server, Unreachable
from scanners.introspect import Sandbox
from scanners.runner import Tool
from scanners.sandbox import Rung
from scanners.urls import Rules, read_url

NAMES = {"localhost": ["127.0.0.1"], "other.example": ["127.0.0.1"]}


def resolved(host: str, port: int) -> list[str]:
    if host not in NAMES:
        raise OSError("no such name")
    return NAMES[host]


RULES = Rules(
    allowed=Allowed(names=("localhost", "other.example")),
    is_http_allowed=True,
    connect_seconds=3,
    resolver=resolved,
)


SECRET = "s3cr3t-Zq8vW2x-t0ken"
AUTHORIZED = {"Authorization": f"Bearer {SECRET}"}


class Desk:
    """`ask` returns what became of one server."""

    def __init__(self, tool: Tool, directory: Path) -> None:
        self.tool = tool
        self.directory = directory
        self.stop = threading.Event()
        self._count = 0

    def ask(
        self,
        url: str,
        *,
        rung: Rung,
        headers: Mapping[str, str] | None = None,
        seconds: float = 60,
        rules: Rules = RULES,
        ca: trustme.CA | None = None,
    ) -> Target:
        self._count += 1
        run_dir = self.directory / str(self._count)
        run_dir.mkdir(mode=0o711)
        if ca is not None:
            path = self.directory / "ca.pem"
            ca.cert_pem.write_to_path(str(path))
            rules = replace(rules, ca_file=str(path))
        return inquiry.inquire(
            Server(read_url(url, rules), url, headers or {}),
            rules=rules,
            sandbox=Sandbox(self.tool, rung, run_dir, self.stop),
            deadline=time.monotonic() + seconds,
        )


@contextmanager
def desk_of(tool: Tool, directory: Path) -> Iterator[Desk]:
    """Afterwards nothing is left: no thread, no file but the empty target."""
    for folder in (directory, directory.parent):
        folder.chmod(0o711)
    yield Desk(tool, directory)
    assert gateway_threads() == []
    left = {each.name for each in directory.glob("*/*")}
    assert left <= {"target"}


def gateway_threads() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name == "gateway"]


def refused(words: str) -> Any:
    return pytest.raises(Unreachable, match=words)
