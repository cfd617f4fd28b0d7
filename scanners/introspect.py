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

import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

from scanners import documents, landlock, observations, runner, strict_json
from scanners.contract import (
    Limits,
    Observed,
    ScannerError,
    ScannerExceeded,
    ScannerTimeout,
    Skipped,
    Target,
)
from scanners.launches import NODE, Canaries, Launch, NotStartable, launch
from scanners.proxy import Proxy
from scanners.redaction import in_base64, mask, secrets_of
from scanners.runner import Reach, Tool
from scanners.sandbox import Rung
from scanners.urls import Rules

CLIENT = Path(__file__).with_name("mcp_client.py")
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
EMPTY = "it was started and lists nothing, which nobody can examine"


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


@dataclass(slots=True)
class Answer:
    """What one server gave; `gap` says why that is not all, "" if it is."""

    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    instructions: str = ""
    observed: list[Observed] = field(default_factory=list)
    gap: str = ""
    size: int = 0


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
    return _with(target, document, answers, sources, sandbox)


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
        said = strict_json.parse(raw)
        strict_json.check(said)  # its depth above all: what follows is recursive
        answer = _answer(path, said, canaries)
        answer.size = len(raw)
        return answer
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
        for form in _forms(canary)
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
    named, _ = _without_canaries(places, canaries)
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
        [str(sandbox.tool.python), "-I", str(CLIENT), "request.json"],
        name="the server",
        environment={"PYTHONDONTWRITEBYTECODE": "1"},
        limits=replace(LIMITS, wall_seconds=round(seconds, 1)),
        rung=sandbox.rung,
        run_dir=sandbox.run_dir,
        reach=Reach(
            readable=(*sandbox.tool.readable, CLIENT),
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


def _answer(path: str, said: Any, canaries: Canaries) -> Answer:
    """Read what the client wrote; raise `ValueError` for what it would never write."""
    if not isinstance(said, dict) or not isinstance(said.get("lists"), list):
        raise ValueError("it is not what the client writes")
    _, echoed = _without_canaries([said["lists"], *_texts(said)], canaries)
    said, _ = _without_canaries(said, canaries)
    answer = Answer(observed=list(observations.of_conduct(path, said)))
    answer.gap = observations.gap_of(said)
    if echoed:
        answer.observed.append(observations.of_echo(path, echoed))
    try:
        _read(answer, path, said)
    except ValueError as error:
        answer.gap = f"its lists are not usable: {error}"
    if not answer.gap and not any((*answer.lists.values(), answer.instructions)):
        answer.gap = EMPTY
    return answer


def _read(answer: Answer, path: str, said: Mapping[str, Any]) -> None:
    """Take the lists over; raise `DocumentError` for what no list may hold."""
    turns = [documents.read_document(turn) for turn in said["lists"][:2]]
    instructions = said.get("instructions")
    if isinstance(instructions, str):
        documents.read_document({"instructions": instructions})
        answer.instructions = instructions
    for kind in documents.LISTS:
        first, second = ([*(turn[kind] for turn in turns), [], []])[:2]
        added = _lacking(second, first)
        is_whole = len(turns) > 1 and not answer.gap
        removed = _lacking(first, second) if is_whole else []
        # what it showed only once is examined too
        answer.lists[kind] = [*first, *added]
        if added or removed:
            answer.observed.append(observations.of_change(path, kind, added, removed))


def _lacking(entries: list[Any], others: list[Any]) -> list[Any]:
    """Return those of `entries` that are not among `others`."""
    known = {json.dumps(each, sort_keys=True) for each in others}
    return [each for each in entries if json.dumps(each, sort_keys=True) not in known]


def _texts(said: Mapping[str, Any]) -> list[Any]:
    return [said.get("instructions"), said.get("about")]


def _without_canaries(value: Any, canaries: Canaries) -> tuple[Any, list[str]]:
    """Return `value` with each canary named instead, and the names that were found."""
    forms = {
        form: name for canary, name in canaries.names.items() for form in _forms(canary)
    }
    if not forms:
        return value, []
    pattern = re.compile("|".join(map(re.escape, forms)))
    found: set[str] = set()

    def named(match: re.Match[str]) -> str:
        found.add(forms[match.group()])
        return f"[the value of {forms[match.group()]}]"

    def walk(node: Any) -> Any:
        if isinstance(node, str):
            return pattern.sub(named, node)
        if isinstance(node, dict):
            return {walk(key): walk(child) for key, child in node.items()}
        return [walk(child) for child in node] if isinstance(node, list) else node

    return walk(value), sorted(found)


def _forms(canary: str) -> Iterator[str]:
    """Yield a canary as it is, in capitals, backwards, in hexadecimal and base64."""
    yield from (canary, canary.upper(), canary[::-1], canary.encode().hex())
    yield from in_base64(canary.encode())


def _with(
    target: Target,
    document: dict[str, Any],
    answers: Mapping[str, Answer],
    sources: Target | None,
    sandbox: Sandbox,
) -> Target:
    origins: dict[str, list[str]] = {kind: [] for kind in documents.LISTS}
    texts = [answer.instructions for answer in answers.values() if answer.instructions]
    document["instructions"] = "\n\n".join(texts) or None
    for kind in documents.LISTS:
        document[kind] = []
        for name, answer in answers.items():
            document[kind] += answer.lists.get(kind, [])
            origins[kind] += [name] * len(answer.lists.get(kind, []))
    observed = tuple(each for answer in answers.values() for each in answer.observed)
    try:
        documents.read_document(document)
    except ValueError as error:
        reason = f"the servers' lists together are not usable: {error}"
        gaps = _gaps(answers, document, reason)
        return replace(target, gaps=gaps, observed=observed)
    document["origins"] = origins
    bound = {**document, "sources": sources.digest if sources else ""}
    if sandbox.network is not None:
        bound["network"] = True
    return replace(
        target,
        elements=documents.elements_of(document),
        # not the digest of a document with the same lists that nobody started
        digest=hashlib.sha256(documents.canonical(bound)).hexdigest(),
        gaps=_gaps(answers, document),
        document=document,
        observed=observed,
    )


def _gaps(
    answers: Mapping[str, Answer], document: Mapping[str, Any], reason: str = ""
) -> tuple[Skipped, ...]:
    secrets = secrets_of(document)
    found: Sequence[tuple[str, str]] = [
        (name, answer.gap or reason) for name, answer in answers.items()
    ]
    return tuple(
        Skipped(f"servers/{name}", observations.shown(mask(gap, secrets)))
        for name, gap in found
        if gap
    )
