"""Asks an MCP server that is elsewhere for its lists, from inside a sandbox.

    python -I launch.py scanners.mcp_web_client:main REQUEST CHANNEL

Runs under the Python of mcp-checkpoint, which has the official `mcp` library (1.x), and
has no network: each request goes to the worker's gateway (`gateway.py`) over the socket
with the number CHANNEL. The request is `{"url": "...", "seconds": n, "answer_seconds":
n}`; the answer on standard output is that of `mcp_client.py`, without what only a
process does, and with `transport`: `http` (streamable) or `sse`.

Streamable HTTP is tried first, then SSE where the server wants nothing of the first:
modelcontextprotocol.io, 2025-06-18, Transports, Backwards Compatibility.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import anyio
import httpx
from mcp import types
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamablehttp_client
from mcp.shared.message import SessionMessage

from scanners import strict_json
from scanners.mcp_session import Fault, Seen, converse

FRAME = struct.Struct("!cI")  # that of `gateway.py`
MAX_MEGABYTES = 8  # the gateway's limit, for the sentence
# What asks for headers is no sign of the older transport.
NEEDS_LEAVE = frozenset({401, 403, 407})


def main() -> NoReturn:
    """Ask the server that the command line's file names, and end."""
    answer = os.dup(1)
    logging.disable(logging.CRITICAL)
    _refuse_two_meanings()
    request = json.loads(Path(sys.argv[1]).read_bytes())
    seen = Seen()
    with socket.socket(fileno=int(sys.argv[2])) as channel:
        transport = anyio.run(_within, request, seen, channel)
    with os.fdopen(answer, "wb") as stream:
        stream.write(seen.answer(transport=transport))
    os._exit(0)  # whatever else is left of the conversation


def _refuse_two_meanings() -> None:
    """Have the library read only what every reader of JSON reads alike.

    With a key that stands twice a server could show us one text and a client that
    takes the other of the two another one. The library has no setting for it.
    """
    read = types.JSONRPCMessage.model_validate_json

    def read_strictly(text: str | bytes, **options: Any) -> types.JSONRPCMessage:
        strict_json.parse(text.encode() if isinstance(text, str) else text)
        return read(text, **options)

    types.JSONRPCMessage.model_validate_json = read_strictly


async def _within(request: dict[str, Any], seen: Seen, channel: socket.socket) -> str:
    transport = "http"
    with anyio.move_on_after(request["seconds"]) as scope:
        web = Web(channel, seen)
        await _over_http(request, web, seen)
        first = seen.fault
        if _leads_to_sse(web, seen):
            seen.fault, web.refusal = None, None
            await _over_sse(request, web, seen)
            if seen.hello:
                transport = "sse"
            else:
                seen.fault = _of_both(first, seen.fault)
    if scope.cancelled_caught:
        seen.fault = Fault("timeout", "it took too long")
    return transport


def _of_both(http: Fault | None, sse: Fault | None) -> Fault | None:
    """Return the first fault, and the second where that is more than a refusal."""
    if http is None or sse is None or sse.kind == "status":
        return http
    return Fault(http.kind, f"{http}, and over SSE {sse}")


def _leads_to_sse(web: Web, seen: Seen) -> bool:
    status = web.refusal or 0
    return not seen.hello and 400 <= status < 500 and status not in NEEDS_LEAVE


async def _over_http(request: dict[str, Any], web: Web, seen: Seen) -> None:
    try:
        async with streamablehttp_client(
            request["url"], httpx_client_factory=web.client
        ) as (heard, told, _):
            await _converse(heard, told, request, seen)
    except BaseExceptionGroup as group:
        _explain(group, seen)


async def _over_sse(request: dict[str, Any], web: Web, seen: Seen) -> None:
    try:
        with anyio.move_on_after(request["answer_seconds"]) as patience:
            async with sse_client(request["url"], httpx_client_factory=web.client) as (
                heard,
                told,
            ):
                patience.deadline = float("inf")
                await _converse(heard, told, request, seen)
        if patience.cancelled_caught:
            seen.fault = seen.fault or Fault("timeout", "it named no address to ask")
    except BaseExceptionGroup as group:
        _explain(group, seen)


def _explain(group: BaseExceptionGroup[Any], seen: Seen) -> None:
    """Note the first reason in words; raise what is no fault of the server."""
    for error in _leaves(group):
        if isinstance(error, Fault):
            seen.fault = seen.fault or error
        elif isinstance(error, Exception):
            words = str(error).partition("\n")[0]
            seen.fault = seen.fault or Fault("malformed", f"no MCP: {words}")
        else:
            raise group


def _leaves(group: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from _leaves(each)
        else:
            yield each


async def _converse(heard: Any, told: Any, request: dict[str, Any], seen: Seen) -> None:
    to_session, from_server = anyio.create_memory_object_stream[Any](0)
    to_server, from_session = anyio.create_memory_object_stream[Any](0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_hear, heard, to_session, seen)
        tasks.start_soon(_tell, told, from_session, seen)
        await converse(from_server, to_server, request["answer_seconds"], seen)
        tasks.cancel_scope.cancel()


async def _hear(heard: Any, to_session: Any, seen: Seen) -> None:
    """Pass on what is a message of the protocol; end at the first that is none."""
    with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
        async with to_session:
            async for item in heard:
                if isinstance(item, Fault):
                    seen.fault = seen.fault or item
                    return
                if not isinstance(item, SessionMessage):
                    words = str(item).partition("\n")[0]
                    fault = Fault("malformed", f"it answered no message: {words}")
                    seen.fault = seen.fault or fault
                    return
                root = item.message.root
                raw = root.model_dump(by_alias=True, exclude_unset=True)
                message = seen.take(item.message, raw)
                if message is not None:
                    await to_session.send(message)


async def _tell(told: Any, from_session: Any, seen: Seen) -> None:
    with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
        async for message in from_session:
            seen.expect(message)
            await told.send(message)


class Web(httpx.AsyncBaseTransport):
    """What the library takes for the network. `refusal`: a status of 400 or more."""

    def __init__(self, channel: socket.socket, seen: Seen) -> None:
        self.refusal: int | None = None
        self._channel = channel
        self._seen = seen

    def client(self, headers: Any = None, timeout: Any = None, auth: Any = None) -> Any:
        """Make a client as `mcp.shared._httpx_utils.create_mcp_http_client` does."""
        return httpx.AsyncClient(
            transport=self, headers=headers, timeout=timeout, auth=auth
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raise `Fault` for no answer, or for one of 400 or more to a message."""
        pair = await self._pair()
        question = {
            "method": request.method,
            "url": str(request.url),
            "headers": dict(request.headers),
        }
        try:
            pair.send(b"Q", json.dumps(question).encode())
            pair.send(b"B", await request.aread())
            kind, content = await pair.receive()
            if kind != b"H":
                raise Fault("closed", "it was not asked")
            head = json.loads(content)
            if request.method == "POST" and head["status"] >= 400:
                self.refusal = head["status"]
                raise Fault("status", f"it answered with status {head['status']}")
        except Fault as fault:
            pair.close()
            if request.method == "POST":
                self._seen.fault = self._seen.fault or fault
            raise
        return httpx.Response(head["status"], headers=head["headers"], stream=pair)

    async def _pair(self) -> Pair:
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._channel, [b"+"], [theirs.fileno()])
        return Pair(*await asyncio.open_connection(sock=ours))


class Pair(httpx.AsyncByteStream):
    """One request on its way to the gateway, and the answer's body."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader, self._writer = reader, writer

    def send(self, kind: bytes, content: bytes) -> None:
        self._writer.write(FRAME.pack(kind, len(content)) + content)

    async def receive(self) -> tuple[bytes, bytes]:
        """Return the next frame; raise `Fault` where there is none."""
        try:
            head = await self._reader.readexactly(FRAME.size)
            kind, size = FRAME.unpack(head)
            content = await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Fault("closed", "it broke off") from error
        if kind == b"F":
            reason, words = json.loads(content)
            if reason == "flood":
                words = f"it sent more than {MAX_MEGABYTES} MB"
            raise Fault(reason, words)
        return kind, content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            kind, content = await self.receive()
            if kind != b"D":
                return
            yield content

    async def aclose(self) -> None:
        self.close()

    def close(self) -> None:
        self._writer.close()
