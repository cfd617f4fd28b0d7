"""A place where a test starts MCP servers, through the real introspection."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scanners import introspect, workspace
from scanners.archives import Limits
from scanners.contract import Target
from scanners.introspect import Sandbox
from scanners.runner import Tool
from scanners.sandbox import Rung
from scanners.urls import Rules

from . import mcp_servers
from .proxying import proxy_threads
from .standin import alive


class Lab:
    """A place to start servers in; `ask` returns what became of one."""

    def __init__(self, tool: Tool, directory: Path) -> None:
        self.tool = tool
        self.directory = directory
        self.run_dir = directory / "runs"
        self.run_dir.mkdir()
        self.token = f"token-{uuid.uuid4()}"
        self.stop = threading.Event()

    def ask(
        self,
        body: str,
        *,
        rung: Rung,
        seconds: float = 60,
        network: Rules | None = None,
        name: str = "server.py",
        **server: Any,
    ) -> Target:
        stored = self.directory / f"stored-{uuid.uuid4().hex}"
        text = body if name.endswith("js") else mcp_servers.program(body)
        stored.write_text(text)
        place = self.directory / uuid.uuid4().hex
        place.mkdir(mode=0o711)
        sources = workspace.from_uploads(
            [workspace.StoredFile(name, stored)],
            place / "sources",
            limits=Limits(total_bytes=1 << 20),
            checkpoint=lambda _=0: None,
            rung=rung,
        )
        server = {"command": "python3", "args": [name, self.token], **server}
        config = {"mcpServers": {"one": server}}
        target = workspace.from_document(json.dumps(config).encode(), place)
        return introspect.introspect(
            target,
            sources=sources,
            sandbox=Sandbox(self.tool, rung, self.run_dir, self.stop, network),
            deadline=time.monotonic() + seconds,
        )


@contextmanager
def opened(tools: dict[str, Tool], directory: Path) -> Iterator[Lab]:
    """Afterwards no process of the server is left, no file, and nobody's proxy."""
    for folder in (directory, directory.parent):
        folder.chmod(0o711)
    lab = Lab(tools["mcp-checkpoint"], directory)
    yield lab
    assert alive(lab.token) == []
    assert list(lab.run_dir.iterdir()) == []
    assert proxy_threads() == []


def codes(target: Target) -> set[str]:
    return {seen.code for seen in target.observed}


def lists(target: Target) -> str:
    document = target.document or {}
    return json.dumps([document[kind] for kind in ("tools", "prompts", "resources")])


def gap(target: Target) -> str:
    """The reason why the server counts as not examined; there is one."""
    [skipped] = target.gaps
    assert skipped.path == "servers/one"
    return skipped.reason
