"""Starts the servers of an MCP configuration in the sandbox and asks for their lists.

The worker never talks to a server: a small client of ours (`mcp_client.py`) does, in
the same sandbox as the server, and the worker reads one JSON text of bounded size. What
the servers did meanwhile is kept in `Target.observed`, which `sentrascan-mcp` reports.

Servers have no network, or, where `Sandbox.network` says so, a proxy of ours for each
(`proxy.py`), which checks and notes whom they contact.

What cannot be seen: attempts that the sandbox refuses (network, files outside) leave no
trace; an echo of a canary that is encrypted or cut up; what a server would do when one
of its tools is called, or after it has noticed where it is.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from scanners import documents, landlock, mcp_answers, observations, runner
from scanners.contract import (
    Limits,
    Observed,
    ScannerError,
    ScannerExceeded,
    ScannerTimeout,
    Target,
)
from scanners.launches import NODE, Canaries, Launch, NotStartable, launch
from scanners.mcp_answers import Answer
from scanners.proxy import Proxy
from scanners.redaction import secrets_of
from scanners.runner import Reach, Tool
from scanners.sandbox import Rung
from scanners.urls import Rules

CLIENT = "scanners.mcp_client:main"
CLIENT_TOOL = "mcp-checkpoint"  # whose environment has the official client library
MAX_SERVERS = 32
MAX_ANSWERS = 32 << 20  # bytes of all servers together, held in the worker's memory
SERVER_SECONDS = 30.0
ANSWER_SECONDS = 10.0
LEAST_SECONDS = 2.0
LIMITS = Limits(
    cpu_seconds=30,
    memory_bytes=1 << 30,
    file_bytes=32 << 20,
    output_bytes=64 << 20,
    processes=32,
)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Where servers are started: all that `runner.execute` wants to know.

    `network` says whom they may contact, None that they have no network.
    """

    tool: Tool
    rung: Rung
    run_dir: Path
    stop: Event
    network: Rules | None = None


def introspect(
    target: Target,
    *,
    sources: Target | None,
    sandbox: Sandbox,
    deadline: float,
) -> Target:
    """Return `target` with the lists of its servers, and a gap for each that gave none.

    `sources` holds the files submitted with the configuration, `deadline` is by the
    monotonic clock. Raises `ScanStopped`.
    """
    document = dict(target.document or {})
    files = [element.path for element in sources.elements] if sources else []
    answers: dict[str, Answer] = {}
    for name, server in documents.servers_of(document).items():
        canaries = Canaries(secrets_of(document))
        answer = Answer()
        try:
            if len(answers) >= MAX_SERVERS:
                raise NotStartable(f"no more than {MAX_SERVERS} servers are started")
            if sum(answer.size for answer in answers.values()) > MAX_ANSWERS:
                raise NotStartable("the lists of those before it are too long")
            root = str(sources.root) if sources else ""
            start = launch(server, files, root, canaries)
            seconds = min(SERVER_SECONDS, deadline - time.monotonic())
            answer = _asked(name, start, sources, canaries, sandbox, seconds)
        except NotStartable as error:
            answer.gap = f"it was not started: {error}"
        answers[name] = answer
    bound: dict[str, Any] = {"sources": sources.digest if sources else ""}
    if sandbox.network is not None:
        bound["network"] = True
    return mcp_answers.merged(target, answers, bound)


def half_way(deadline: float) -> float:
    """Return the time between now and `deadline`, by the monotonic clock."""
    return (time.monotonic() + deadline) / 2


def _asked(
    name: str,
    start: Launch,
    sources: Target | None,
    canaries: Canaries,
    sandbox: Sandbox,
    seconds: float,
) -> Answer:
    if seconds < LEAST_SECONDS:
        raise NotStartable("there was no time left")
    if sandbox.rung is Rung.RLIMITS:  # on which every file is within a server's reach
        raise NotStartable("this host cannot isolate it")
    path = f"servers/{name}"
    if sandbox.network is None:
        return _heard(path, start, sources, canaries, sandbox, seconds)
    with _proxy(sandbox, sandbox.network, canaries) as proxy:
        answer = _heard(path, start, sources, canaries, sandbox, seconds, proxy)
    answer.observed += _seen_of(path, proxy, canaries)
    return answer


def _heard(
    path: str,
    start: Launch,
    sources: Target | None,
    canaries: Canaries,
    sandbox: Sandbox,
    seconds: float,
    proxy: Proxy | None = None,
) -> Answer:
    try:
        request = _request(start, sources, sandbox, seconds, proxy)
        raw = _said(request, sources, sandbox, seconds, proxy)
        return mcp_answers.read(path, raw, canaries.names)
    except (ScannerExceeded, ScannerTimeout) as error:
        limit = error.limit if isinstance(error, ScannerExceeded) else "time"
        seen = observations.of_limit(path, limit, str(error))
        return Answer(observed=[seen], gap=str(error))
    except (ScannerError, ValueError) as error:
        return Answer(gap=f"it gave no readable answer: {error}")


def _proxy(sandbox: Sandbox, network: Rules, canaries: Canaries) -> Proxy:
    """Return a proxy for one run; raise `NotStartable` where it could be passed by."""
    is_inside = sandbox.rung is Rung.BUBBLEWRAP
    if not is_inside and landlock.abi() < landlock.HAS_TCP:
        raise NotStartable(
            "it is to have a network, and this host cannot hold it to a proxy: that "
            "takes bubblewrap, or Landlock of Linux 6.7"
        )
    token = canaries.new("HTTP_PROXY")
    marks = {
        form.encode(): name
        for canary, name in canaries.names.items()
        for form in mcp_answers.forms_of(canary)
    }
    return Proxy(network, token=token, marks=marks, is_outside=is_inside)


def _seen_of(path: str, proxy: Proxy, canaries: Canaries) -> Iterator[Observed]:
    traffic = proxy.traffic
    places = {
        observations.CONTACTED: traffic.contacted,
        observations.INNER: traffic.inner,
        observations.REFUSED: traffic.refused,
    }
    # a canary in a host's name would be another one in every scan
    named, _ = mcp_answers.without(places, canaries.names)
    sent = sorted(traffic.marks)
    return observations.of_traffic(path, named, sent, traffic.excess)


def _said(
    request: bytes,
    sources: Target | None,
    sandbox: Sandbox,
    seconds: float,
    proxy: Proxy | None,
) -> bytes:
    """Run the client, which starts the server, and return what it wrote."""
    completed = runner.execute(
        [*runner.start(sandbox.tool.python), CLIENT, "request.json"],
        name="the server",
        environment={"PYTHONDONTWRITEBYTECODE": "1"},
        limits=replace(LIMITS, wall_seconds=round(seconds, 1)),
        rung=sandbox.rung,
        run_dir=sandbox.run_dir,
        reach=Reach(
            readable=(*sandbox.tool.readable, runner.LAUNCH.parent),
            target=sources.root if sources else None,
            python=sandbox.tool.python,
            proxy_port=proxy.port if proxy else 0,
            door=proxy.door if proxy else 0,
        ),
        files={"request.json": request},
        outputs=(),
        stop=sandbox.stop,
    )
    if completed.exit_code != 0:
        raise ScannerError("its client was ended while it asked")
    return completed.stdout


def _request(
    start: Launch,
    sources: Target | None,
    sandbox: Sandbox,
    seconds: float,
    proxy: Proxy | None,
) -> bytes:
    program = str(sandbox.tool.python)
    if start.program == "node":
        if shutil.which(NODE) is None:
            raise NotStartable("node is not installed on this host")
        program = NODE
    # the client ends first, so that it can tell how far it came
    own = max(seconds - 5, seconds / 2)
    request = {
        "command": [program, *start.arguments],
        "environment": {**start.environment, **(proxy.environment if proxy else {})},
        "folder": str(sources.root / start.folder) if sources else "",
        "seconds": own,
        "answer_seconds": min(ANSWER_SECONDS, own),
    }
    return json.dumps(request).encode()
