"""Asks one MCP server for its lists, inside the sandbox that the server is in too.

    python -I mcp_client.py REQUEST

Runs under the Python of mcp-checkpoint, which has the official `mcp` library (1.x). The
request is `{"command": [...], "environment": {...}, "folder": "...", "seconds": n,
"answer_seconds": n}`, the answer one JSON object on standard output:

    {"lists": [{"tools": [...], "prompts": [...], "resources": [...]}, ...],
     "instructions": text or null, "about": {...}, "fault": [kind, detail] or null,
     "noise": n, "sample": text, "asked": [method], "written": [name],
     "is_deaf": bool, "has_left": bool, "said": text}

Two entries of `lists`: each list is asked for twice. The library checks every answer;
handed on is what stood on the wire, since the library's own types tidy it up. The
server could overwrite anything in here: it can lie about itself and nothing else.
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
from datetime import timedelta
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
from mcp import ClientSession, McpError, types
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

MAX_MESSAGE_BYTES = 4 << 20
MAX_TOTAL_BYTES = 8 << 20
MAX_PAGES = 100
MAX_WRITTEN = 20
SAID_BYTES = 2000
EXIT_SECONDS = 2.0  # for a server to end after its input did
METHOD_NOT_FOUND = -32601
REQUEST_TIMEOUT = 408  # what the library raises by itself
CONNECTION_CLOSED = types.CONNECTION_CLOSED
_PR_SET_CHILD_SUBREAPER = 36


class Fault(Exception):
    """Why the lists are not whole; `kind` is for programs, the text for people."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class Seen:
    """What the server said, as far as it came."""

    def __init__(self) -> None:
        self.lists: list[dict[str, list[Any]]] = []
        self.hello: dict[str, Any] = {}
        self.fault: Fault | None = None
        self.noise = 0
        self.sample = ""
        self.asked: list[str] = []
        self.is_deaf = False
        self.has_left = False
        self.last_id: Any = None
        self.waited: set[Any] = set()
        self.results: dict[Any, Any] = {}

    def take(self, line: bytes) -> SessionMessage | None:
        """Return the message of a line, None if it is none."""
        try:
            message = types.JSONRPCMessage.model_validate_json(line)
            raw = json.loads(line)
        except (ValueError, RecursionError):
            self._note(line)
            return None
        root = message.root
        is_answer = isinstance(root, types.JSONRPCResponse | types.JSONRPCError)
        # clients differ on what has two meanings, and on an answer given twice
        is_double = len(raw.keys() & {"method", "result", "error"}) > 1
        if is_double or (is_answer and root.id not in self.waited):
            self._note(line)
            return None
        if isinstance(root, types.JSONRPCRequest):
            if root.method != "ping" and len(self.asked) < MAX_WRITTEN:
                self.asked.append(root.method[:100])
        elif is_answer:
            self.waited.discard(root.id)
            self.results[root.id] = raw.get("result")
        return SessionMessage(message)

    def _note(self, line: bytes) -> None:
        self.noise += 1
        self.sample = self.sample or line[:200].decode(errors="replace")

    def result(self) -> dict[str, Any]:
        """Return the answer to the last request, as it was on the wire."""
        found = self.results.pop(self.last_id, None)
        if not isinstance(found, dict):
            raise Fault("malformed", "it answered in another way than it was asked")
        return found


def main() -> int:
    """Ask the server that the command line's file describes; return an exit code."""
    answer = os.dup(1)  # no server inherits it
    logging.disable(logging.CRITICAL)
    request = json.loads(Path(sys.argv[1]).read_bytes())
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    errors = os.open("server-errors", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    before = set(os.listdir())  # noqa: PTH208
    seen = Seen()
    try:
        anyio.run(_within, request, seen, errors)
    except OSError as error:
        seen.fault = Fault("closed", f"it could not be started: {error.strerror}")
    written = sorted(set(os.listdir()) - before)[:MAX_WRITTEN]  # noqa: PTH208
    size = os.fstat(errors).st_size
    said = os.pread(errors, SAID_BYTES, max(0, size - SAID_BYTES))
    with os.fdopen(answer, "wb") as stream:
        stream.write(_answer(seen, written, said))
    return 0


def _answer(seen: Seen, written: list[str], said: bytes) -> bytes:
    fault = seen.fault
    answer = {
        "lists": seen.lists,
        "instructions": seen.hello.get("instructions"),
        "about": seen.hello.get("serverInfo"),
        "fault": [fault.kind, str(fault)[:500]] if fault else None,
        "noise": seen.noise,
        "sample": seen.sample,
        "asked": seen.asked,
        "written": [os.fsencode(name).decode(errors="replace") for name in written],
        "is_deaf": seen.is_deaf,
        "has_left": seen.has_left,
        "said": said.decode(errors="replace"),
    }
    return json.dumps(answer).encode()


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
        patience = timedelta(seconds=answer_seconds)
        async with ClientSession(from_server, to_server, patience) as session:
            try:
                await _ask(session, seen)
            except Fault as fault:
                seen.fault = seen.fault or fault
            except McpError as error:
                seen.fault = seen.fault or _fault_of(error)
            except (ValidationError, RuntimeError, RecursionError) as error:
                words = str(error).partition("\n")[0]
                seen.fault = seen.fault or Fault("malformed", f"no MCP: {words}")
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                seen.fault = seen.fault or Fault("closed", "it ended")
        tasks.cancel_scope.cancel()


def _fault_of(error: McpError) -> Fault:
    code, words = error.error.code, error.error.message
    if code == REQUEST_TIMEOUT:
        return Fault("timeout", "it did not answer")
    if code == CONNECTION_CLOSED:
        return Fault("closed", "it ended before it had answered")
    return Fault("error", f"it answered with an error: {words}")


async def _ask(session: ClientSession, seen: Seen) -> None:
    await session.initialize()
    seen.hello = seen.result()
    capabilities = seen.hello.get("capabilities") or {}
    for _ in range(2):
        lists: dict[str, list[Any]] = {"tools": [], "prompts": [], "resources": []}
        # what came before a fault is examined all the same
        seen.lists.append(lists)
        await _pages(session.list_tools, "tools", lists["tools"], capabilities, seen)
        prompts, resources = lists["prompts"], lists["resources"]
        await _pages(session.list_prompts, "prompts", prompts, capabilities, seen)
        await _pages(session.list_resources, "resources", resources, capabilities, seen)
        listed, key = session.list_resource_templates, "resourceTemplates"
        await _pages(listed, key, resources, capabilities, seen)


async def _pages(
    listed: Any, key: str, found: list[Any], capabilities: dict[str, Any], seen: Seen
) -> None:
    """Append all pages of one list; a server may do without one it never promised."""
    cursor = None
    for _ in range(MAX_PAGES):
        try:
            await listed(params=types.PaginatedRequestParams(cursor=cursor))
        except McpError as error:
            is_fatal = error.error.code in {REQUEST_TIMEOUT, CONNECTION_CLOSED}
            if is_fatal or key in capabilities:
                raise
            return
        page = seen.result()
        found += page[key]
        cursor = page.get("nextCursor")
        if cursor is None:
            return
    raise Fault("flood", f"its list of {key} has more than {MAX_PAGES} pages")


async def _hear(process: Any, to_session: Any, seen: Seen) -> None:
    with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
        async with to_session:
            try:
                async for line in _lines(process.stdout):
                    message = seen.take(line)
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
            root = message.message.root
            if isinstance(root, types.JSONRPCRequest):
                seen.last_id = root.id
                seen.waited = {root.id}
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


def _is_childless() -> bool:
    """Bury orphans, which come to us, and tell whether any is alive."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return False
    return True


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)
