"""Asks one MCP server for its lists over two streams, whatever carries them.

Runs inside the sandbox, under the Python of mcp-checkpoint, which has the official
`mcp` library (1.x). The library checks every answer; handed on is what stood on the
wire, since the library's own types tidy it up.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import anyio
from mcp import ClientSession, McpError, types
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from scanners import strict_json

MAX_PAGES = 100
MAX_CURSOR = 16 << 10  # characters; it is sent back for the next page
MAX_ASKED = 20
REQUEST_TIMEOUT = 408  # what the library raises by itself
CONNECTION_CLOSED = types.CONNECTION_CLOSED


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
        # of a server that is a process
        self.is_deaf = False
        self.has_left = False
        self.last_id: Any = None
        self.waited: set[Any] = set()
        self.results: dict[Any, Any] = {}

    def take_line(self, line: bytes) -> SessionMessage | None:
        """Return the message of a line, None if it is none."""
        try:
            raw = strict_json.parse(line)
            message = types.JSONRPCMessage.model_validate_json(line)
        except (ValueError, RecursionError):
            self.note(line.decode(errors="replace"))
            return None
        return self.take(message, raw)

    def take(
        self, message: types.JSONRPCMessage, raw: dict[str, Any]
    ) -> SessionMessage | None:
        """Return the message if it is one; `raw` is what stood on the wire."""
        root = message.root
        is_answer = isinstance(root, types.JSONRPCResponse | types.JSONRPCError)
        # clients differ on what has two meanings, and on an answer given twice
        is_double = len(raw.keys() & {"method", "result", "error"}) > 1
        if is_double or (is_answer and root.id not in self.waited):
            self.note(json.dumps(raw))
            return None
        if isinstance(root, types.JSONRPCRequest):
            if root.method != "ping" and len(self.asked) < MAX_ASKED:
                self.asked.append(root.method[:100])
        elif is_answer:
            self.waited.discard(root.id)
            self.results[root.id] = raw.get("result")
        return SessionMessage(message)

    def note(self, text: str) -> None:
        """Keep what is no message of the protocol."""
        self.noise += 1
        self.sample = self.sample or text[:200]

    def expect(self, message: SessionMessage) -> None:
        """Note what is asked, before it is sent."""
        root = message.message.root
        if isinstance(root, types.JSONRPCRequest):
            self.last_id = root.id
            self.waited = {root.id}

    def answer(self, **more: Any) -> bytes:
        """Return what the client writes, as one JSON text."""
        fault = self.fault
        answer = {
            "lists": self.lists,
            "instructions": self.hello.get("instructions"),
            "about": self.hello.get("serverInfo"),
            "fault": [fault.kind, str(fault)[:500]] if fault else None,
            "noise": self.noise,
            "sample": self.sample,
            "asked": self.asked,
        }
        return json.dumps({**answer, **more}).encode()

    @property
    def has_answered(self) -> bool:
        """Whether the last request was answered, if only with an error."""
        return self.last_id in self.results

    def result(self) -> dict[str, Any]:
        """Return the answer to the last request, as it was on the wire."""
        found = self.results.pop(self.last_id, None)
        if not isinstance(found, dict):
            raise Fault("malformed", "it answered in another way than it was asked")
        return found


async def converse(
    from_server: Any, to_server: Any, answer_seconds: float, seen: Seen
) -> None:
    """Ask for everything over the session's two streams; never raises a `Fault`."""
    patience = timedelta(seconds=answer_seconds)
    async with ClientSession(from_server, to_server, patience) as session:
        try:
            await _ask(session, seen)
        except Fault as fault:
            seen.fault = seen.fault or fault
        except McpError as error:
            seen.fault = seen.fault or _fault_of(error, seen)
        except (ValidationError, RuntimeError, RecursionError) as error:
            words = str(error).partition("\n")[0]
            seen.fault = seen.fault or Fault("malformed", f"no MCP: {words}")
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            seen.fault = seen.fault or Fault("closed", "it ended")


def _fault_of(error: McpError, seen: Seen) -> Fault:
    code, words = error.error.code, error.error.message
    if seen.has_answered:  # servers use the library's own codes, too
        return Fault("error", f"it answered with an error: {words}")
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
        except McpError:
            if not seen.has_answered or key in capabilities:
                raise
            return
        page = seen.result()
        found += page[key]
        cursor = page.get("nextCursor")
        if cursor is None:
            return
        if len(cursor) > MAX_CURSOR:
            detail = f"a cursor of its list of {key} has {len(cursor)} characters"
            raise Fault("flood", detail)
    raise Fault("flood", f"its list of {key} has more than {MAX_PAGES} pages")
