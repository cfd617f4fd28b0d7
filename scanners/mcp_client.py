"""Asks one MCP server for its lists, inside the sandbox that the server is in too.

    python -I launch.py scanners.mcp_client:main REQUEST

Runs under the Python of mcp-checkpoint, which has the official `mcp` library (1.x). The
request is `{"command": [...], "environment": {...}, "folder": "...", "seconds": n,
"answer_seconds": n}`, the answer one JSON object on standard output:

    {"lists": [{"tools": [...], "prompts": [...], "resources": [...]}, ...],
     "instructions": text or null, "about": {...}, "fault": [kind, detail] or null,
     "noise": n, "sample": text, "asked": [method], "written": [name],
     "is_deaf": bool, "has_left": bool, "said": text}

Two entries of `lists`: each list is asked for twice (`mcp_session.py`). The server
could overwrite anything in here: it can lie about itself and nothing else.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE
from typing import Any, NoReturn

import anyio

from scanners.mcp_session import Fault, Seen, converse

MAX_MESSAGE_BYTES = 4 << 20
MAX_TOTAL_BYTES = 8 << 20
MAX_WRITTEN = 20
SAID_BYTES = 2000
EXIT_SECONDS = 2.0  # for a server to end after its input did
_PR_SET_CHILD_SUBREAPER = 36


def main() -> NoReturn:
    """Ask the server that the command line's file describes, and end."""
    answer = os.dup(1)  # no server inherits it
    logging.disable(logging.CRITICAL)
    request = json.loads(Path(sys.argv[1]).read_bytes())
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    errors = os.open("server-errors", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    before = _names()
    seen = Seen()
    try:
        anyio.run(_within, request, seen, errors)
    except OSError as error:
        seen.fault = Fault("closed", f"it could not be started: {error.strerror}")
    written = sorted(_names() - before)[:MAX_WRITTEN]
    size = os.fstat(errors).st_size
    said = os.pread(errors, SAID_BYTES, max(0, size - SAID_BYTES))
    with os.fdopen(answer, "wb") as stream:
        stream.write(
            seen.answer(
                written=[os.fsencode(n).decode(errors="replace") for n in written],
                is_deaf=seen.is_deaf,
                has_left=seen.has_left,
                said=said.decode(errors="replace"),
            )
        )
    os._exit(0)  # whatever else is left of the conversation


async def _within(request: dict[str, Any], seen: Seen, errors: int) -> None:
    process = await anyio.open_process(
        request["command"],
        stdin=PIPE,
        stdout=PIPE,
        stderr=errors,
        cwd=request["folder"] or None,
        env={**os.environ, **request["environment"]},
        start_new_session=True,
    )
    with anyio.move_on_after(request["seconds"]) as scope:
        await _converse(process, request["answer_seconds"], seen)
    if scope.cancelled_caught:
        seen.fault = Fault("timeout", "it took too long")
    await _farewell(process, seen)


async def _converse(process: Any, answer_seconds: float, seen: Seen) -> None:
    to_session, from_server = anyio.create_memory_object_stream[Any](0)
    to_server, from_session = anyio.create_memory_object_stream[Any](0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_hear, process, to_session, seen)
        tasks.start_soon(_tell, process, from_session, seen)
        await converse(from_server, to_server, answer_seconds, seen)
        tasks.cancel_scope.cancel()


async def _hear(process: Any, to_session: Any, seen: Seen) -> None:
    with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
        async with to_session:
            try:
                async for line in _lines(process.stdout):
                    message = seen.take_line(line)
                    if message is not None:
                        await to_session.send(message)
            except Fault as fault:
                seen.fault = fault


async def _lines(stream: Any) -> AsyncIterator[bytes]:
    buffer = bytearray()
    total = 0
    async for chunk in stream:
        total += len(chunk)
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            buffer += line
            if buffer.strip():
                yield bytes(buffer)
            buffer.clear()
        buffer += rest
        if len(buffer) > MAX_MESSAGE_BYTES or total > MAX_TOTAL_BYTES:
            raise Fault("flood", f"it sent more than {MAX_MESSAGE_BYTES >> 20} MB")


async def _tell(process: Any, from_session: Any, seen: Seen) -> None:
    with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
        async for message in from_session:
            seen.expect(message)
            text = message.message.model_dump_json(by_alias=True, exclude_none=True)
            await process.stdin.send(text.encode() + b"\n")


async def _farewell(process: Any, seen: Seen) -> None:
    """End it as the specification says, and see whether it lets itself be ended."""
    with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
        await process.stdin.aclose()
    seen.is_deaf = not await _until(lambda: process.returncode is not None)
    if seen.is_deaf:
        # one rung of the sandbox forbids it: the supervisor sweeps anyway
        with suppress(PermissionError, ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return
    seen.has_left = not await _until(_is_childless)


async def _until(is_so: Any) -> bool:
    with anyio.move_on_after(EXIT_SECONDS):
        while not is_so():
            await anyio.sleep(0.02)
        return True
    return False


def _names() -> set[str]:
    return {path.name for path in Path().iterdir()}


def _is_childless() -> bool:
    """Bury orphans, which come to us, and tell whether any is alive."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return False
    return True
