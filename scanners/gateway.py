"""The one way out of a sandboxed client: requests to one origin, made by the worker.

The client has no network. It shares one socket with us, and hands over one end of a
socket pair for each request. Over that pair go frames, a letter and a length of four
bytes before each:

    client   Q  {"method", "url", "headers"}      then  B  the body, may be empty
    we       H  {"status", "headers"}, then  D  pieces of the body, then  E
             F  [kind, words]  instead of anything, when there is no more

The request is made by the rules of `egress`: checked, pinned, verified. What is secret
in it is added here, so that it is never in reach of the client, nor of the server's
answer that the client reads. The answer's body is not looked at here, only counted.
"""

from __future__ import annotations

import json
import os
import re
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

from scanners import strict_json
from scanners.attending import SLICE_SECONDS, Attendants
from scanners.egress import Allowance, Client, Question, TooLarge, trusted
from scanners.pinning import EgressError
from scanners.urls import Rules, Url, read_url

FRAME = struct.Struct("!cI")
METHODS = frozenset({"GET", "POST", "DELETE"})
# What the protocol itself sends and reads; nothing else passes in either direction.
SENT = frozenset(
    {"accept", "content-type", "mcp-session-id", "mcp-protocol-version"}
    | {"last-event-id"}
)
TOLD = frozenset({"content-type", "mcp-session-id"})
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,1022}[\x21-\x7e])?")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one client may ask for. Times in seconds."""

    requests: int = 2000
    at_once: int = 8
    question_bytes: int = 16 << 10
    body_bytes: int = 256 << 10
    total_bytes: int = 8 << 20  # of all answers together
    idle_seconds: float = 15  # for the client to send or take the next piece


@dataclass(slots=True)
class SharedAllowance(Allowance):
    """An allowance that several threads spend."""

    attendants: Attendants = field(kw_only=True)

    def spend(self, size: int) -> None:
        with self.attendants.lock:
            Allowance.spend(self, size)


class _Refused(Exception):
    """The client asked for what it may not."""


class Gateway:
    """Serves one client in a `with`; nothing of it is left afterwards.

    `secrets` are headers that go to the origin of `url` and to nobody else. `channel`
    is the number of the client's socket; `excess` says what it had too much of.
    """

    def __init__(
        self,
        url: Url,
        rules: Rules,
        *,
        secrets: Mapping[str, str],
        seconds: float,
        bounds: Bounds | None = None,
    ) -> None:
        self.excess = ""
        self._url = url
        # streams may be silent for as long as the client is there
        self._rules = replace(rules, period_seconds=seconds)
        self._trust = trusted(rules)
        self._secrets = dict(secrets)
        self._bounds = bounds or Bounds()
        self._attendants = Attendants("gateway")
        self._allowance = SharedAllowance(
            self._bounds.total_bytes, attendants=self._attendants
        )
        self._ours, self._theirs = socket.socketpair()

    @property
    def channel(self) -> int:
        return self._theirs.fileno()

    def __enter__(self) -> Self:
        self._attendants.start(self._serve)
        return self

    def __exit__(self, *_: object) -> None:
        self._attendants.end()
        self._ours.close()
        self._theirs.close()

    def _serve(self) -> None:
        self._ours.settimeout(SLICE_SECONDS)
        count = 0
        while not self._attendants.is_over:
            try:
                said, numbers, _, _ = socket.recv_fds(
                    self._ours, 1, 1, socket.MSG_CMSG_CLOEXEC
                )
            except TimeoutError:
                continue
            except OSError:
                return
            if not said:
                return
            for number in numbers:
                count += 1
                self._take(number, count)

    def _take(self, number: int, count: int) -> None:
        """Attend to one end of a pair, if it is one and not one too many."""
        try:
            client = socket.socket(fileno=number)
        except OSError:
            os.close(number)
            return
        is_pair = client.family == socket.AF_UNIX and client.type == socket.SOCK_STREAM
        is_too_much = count > self._bounds.requests
        if is_too_much:
            self.excess = "requests"
        if not is_pair or is_too_much or self._attendants.held >= self._bounds.at_once:
            client.close()
            return
        self._attendants.hold(client)
        self._attendants.start(self._attend, client)

    def _attend(self, client: socket.socket) -> None:
        try:
            with client:
                client.settimeout(self._bounds.idle_seconds)
                with _told(client):
                    self._answer(client)
        except OSError:
            pass  # the client went away, or all is over
        finally:
            self._attendants.let_go(client)

    def _answer(self, client: socket.socket) -> None:
        url, question = self._question(client)
        try:
            with (
                Client(self._rules, self._step, self._trust) as far,
                far.ask(url, question, self._allowance) as answer,
            ):
                told = {n: v for n, v in answer.headers.items() if n in TOLD}
                head = {"status": answer.status, "headers": told}
                _send(client, b"H", json.dumps(head).encode())
                while piece := answer.read():
                    _send(client, b"D", piece)
                _send(client, b"E")
        except TooLarge:
            self.excess = "bytes"
            raise

    def _question(self, client: socket.socket) -> tuple[Url, Question]:
        raw = _receive(client, b"Q", self._bounds.question_bytes)
        body = _receive(client, b"B", self._bounds.body_bytes)
        try:
            asked = strict_json.parse(raw)
            method, text, given = asked["method"], asked["url"], asked["headers"]
            headers = {n: v for n, v in given.items() if n in SENT}
            is_plain = all(_VALUE.fullmatch(value) for value in headers.values())
            url = read_url(text, self._rules, longest=8000)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _Refused("this is no request") from error
        if method not in METHODS or url.origin != self._url.origin:
            raise _Refused("only the server itself is asked")
        if not is_plain:  # the client sends back what the server gave it
            raise _Refused("it gave a session a name that cannot be sent")
        return url, Question(
            method=method,
            headers=headers,
            secrets=self._secrets,
            body=body,
            is_endless=True,
        )

    def _step(self) -> None:
        if self._attendants.is_over:
            raise EgressError("the time is over")


@contextmanager
def _told(client: socket.socket) -> Iterator[None]:
    """Tell the client why there is no answer, or no more of it."""
    try:
        yield
    except TooLarge as error:
        _send(client, b"F", json.dumps(["flood", str(error)]).encode())
    except EgressError as error:
        _send(client, b"F", json.dumps(["unreachable", str(error)]).encode())
    except _Refused as error:
        _send(client, b"F", json.dumps(["refused", str(error)]).encode())


def _send(client: socket.socket, kind: bytes, content: bytes = b"") -> None:
    client.sendall(FRAME.pack(kind, len(content)) + content)


def _receive(client: socket.socket, kind: bytes, most: int) -> bytes:
    found, size = FRAME.unpack(_exactly(client, FRAME.size))
    if found != kind or size > most:
        raise _Refused("this is no request")
    return _exactly(client, size)


def _exactly(client: socket.socket, size: int) -> bytes:
    pieces: list[Any] = []
    while size:
        piece = client.recv(min(size, 1 << 16))
        if not piece:
            raise ConnectionError("it ended early")
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
