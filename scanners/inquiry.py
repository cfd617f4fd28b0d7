"""Asks an MCP server that is elsewhere for its lists, and makes them a target.

What the server says is read by a client of ours in the sandbox (`mcp_web_client.py`),
which has no network and no secret: the worker's `Gateway` makes its requests, to that
one server, and adds the headers. The worker itself reads one JSON text of bounded size.

A server that repeats a header's value in its lists gives itself away: the value is
named instead, before anybody else sees it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import unquote, unquote_plus

from scanners import mcp_answers, observations, runner
from scanners.contract import ScannerError, Target
from scanners.gateway import Gateway
from scanners.introspect import LEAST_SECONDS, LIMITS, Sandbox
from scanners.mcp_answers import Answer
from scanners.mcp_rules.secrets import is_secret_name
from scanners.mcp_rules.tokens import MIN_SECRET, looks_random
from scanners.runner import Reach
from scanners.urls import Rules, Url
from scanners.workspace import from_document

CLIENT = "scanners.mcp_web_client:main"
SERVER_SECONDS = 60.0
ANSWER_SECONDS = 20.0
_SCHEME = re.compile(r"(?i)[a-z][a-z0-9-]{1,20} +(?=\S)")
_VALUES = re.compile(r"=\s*\"?([^;,\s\"]+)")


class Unreachable(Exception):
    """The server was not had; the message is for people."""


@dataclass(frozen=True, slots=True)
class Server:
    """Whom to ask. `shown` is its address as anybody may read it."""

    url: Url
    shown: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def inquire(
    server: Server, *, rules: Rules, sandbox: Sandbox, deadline: float
) -> Target:
    """Return what `server` lists as a target; what it does not give whole is a gap.

    `deadline` is by the monotonic clock. Raises `Unreachable` for a server that did
    not even say who it is, and `ScanStopped`.
    """
    seconds = min(SERVER_SECONDS, deadline - time.monotonic())
    if seconds < LEAST_SECONDS:
        raise Unreachable("there was no time left to ask it")
    name = server.url.authority
    answer = _answer(server, rules, sandbox, seconds)
    if not answer.is_known:
        is_bare = answer.gap.startswith("it ")
        raise Unreachable(f"{name}: {answer.gap}" if is_bare else answer.gap)
    entry: dict[str, object] = {"type": answer.transport, "url": server.shown}
    if server.headers:
        # that there were some is worth knowing, and no secret
        entry["headers"] = dict.fromkeys(sorted(server.headers), "${HEADER}")
    config = {"mcpServers": {name: entry}}
    target = from_document(json.dumps({"config": config}).encode(), sandbox.run_dir)
    return mcp_answers.merged(target, {name: answer}, {"asked": server.shown})


def _answer(server: Server, rules: Rules, sandbox: Sandbox, seconds: float) -> Answer:
    path = f"servers/{server.url.authority}"
    own = max(seconds - 5, seconds / 2)  # so that it can tell how far it came
    patience = min(ANSWER_SECONDS, own / 2)
    # the client loses patience first: it knows for what it waited
    rules = replace(rules, answer_seconds=patience + 5)
    gateway = Gateway(server.url, rules, secrets=server.headers, seconds=seconds)
    request = {"url": str(server.url), "seconds": own, "answer_seconds": patience}
    hidden = dict(_hidden(server))
    quiet = {name for text, name in hidden.items() if not _is_telling(name, text)}
    try:
        with gateway:
            raw = _said(request, gateway.channel, sandbox, seconds)
        answer = mcp_answers.read(path, raw, hidden, quiet=frozenset(quiet))
    except ScannerError as error:
        return Answer(gap=str(error))
    except ValueError as error:
        gap = f"it gave no readable answer: {error}"
        return Answer(gap=gap, is_known=True, transport="http")
    if gateway.excess:
        # the client may only have seen that it was not served any more
        _note_excess(answer, path, gateway.excess)
    return answer


def _note_excess(answer: Answer, path: str, what: str) -> None:
    if any(seen.code == observations.FLOOD for seen in answer.observed):
        return
    answer.gap = f"it took more {what} than a server may"
    answer.observed.append(observations.of_excess(path, what))


def _said(
    request: Mapping[str, object], channel: int, sandbox: Sandbox, seconds: float
) -> bytes:
    """Run the client and return what it wrote."""
    completed = runner.execute(
        [*runner.start(sandbox.tool.python), CLIENT, "request.json", str(channel)],
        name="asking it",
        environment={"PYTHONDONTWRITEBYTECODE": "1"},
        limits=replace(LIMITS, wall_seconds=round(seconds, 1)),
        rung=sandbox.rung,
        run_dir=sandbox.run_dir,
        reach=Reach(
            readable=(*sandbox.tool.readable, runner.LAUNCH.parent),
            python=sandbox.tool.python,
            channel=channel,
        ),
        files={"request.json": json.dumps(request).encode()},
        outputs=(),
        stop=sandbox.stop,
    )
    if completed.exit_code != 0:
        raise ScannerError("its client was ended while it asked")
    return completed.stdout


def _hidden(server: Server) -> Iterator[tuple[str, str]]:
    """Yield what the server was told and nobody else is to read, and how it is called.

    Shorter values could not be taken out of a text without harm to the rest of it.
    """
    for name, value in server.headers.items():
        for part in _parts(value):
            if len(part) >= MIN_SECRET:
                yield part, name
    query = server.url.target.partition("?")[2]
    for pair in query.split("&"):
        name, _, raw = pair.partition("=")
        # a server may repeat it as it was sent, or as it was meant
        for value in {raw, unquote(raw), unquote_plus(raw)}:
            if len(value) >= MIN_SECRET:
                yield value, f"{unquote(name)} in its address"


def _parts(value: str) -> Iterator[str]:
    """Yield a header's value, and what is in it: a cookie, a token, a password."""
    yield value
    yield from _VALUES.findall(value)
    bare = _SCHEME.sub("", value, count=1)
    yield bare
    try:
        plain = base64.b64decode(bare, validate=True).decode()
    except (binascii.Error, ValueError):
        return
    yield plain
    yield plain.partition(":")[2]


def _is_telling(name: str, text: str) -> bool:
    """Whether an echo of this value is a leak, and not just a word that both use."""
    return is_secret_name(name.partition(" ")[0]) or looks_random(text)
