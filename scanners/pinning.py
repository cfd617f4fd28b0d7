"""Connections that go where their name was checked to lead, and do not dawdle."""

from __future__ import annotations

import queue
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any, NoReturn

import httpcore

from scanners.addresses import literal
from scanners.urls import Rules

SLICE_SECONDS = 0.5  # how soon a cancelled scan lets go of a silent server
MAX_ADDRESSES = 3  # of one name, tried in turn


class EgressError(Exception):
    """Nothing was fetched; the message is for people and names at most the host."""


class Pace:
    """Ends what takes too long, and lets the caller end it."""

    def __init__(self, rules: Rules, checkpoint: Callable[[], None]) -> None:
        self._rules = rules
        self._checkpoint = checkpoint
        self._host = ""
        self._until: float | None = None
        self._since, self._received = 0.0, 0

    def await_answer(self, host: str) -> None:
        self._host = host
        self._until = time.monotonic() + self._rules.answer_seconds

    def await_body(self) -> None:
        self._until = None
        self._since, self._received = time.monotonic(), 0

    def step(self, received: int = 0) -> None:
        self._checkpoint()
        now = time.monotonic()
        if self._until is not None:
            if now > self._until:
                raise EgressError(f"{self._host} did not answer in time")
            return
        self._received += received
        if now - self._since > self._rules.period_seconds:
            if self._received < self._rules.period_bytes:
                raise EgressError(f"{self._host} sends too slowly")
            self._since, self._received = now, 0


class CheckedNetwork(httpcore.NetworkBackend):
    """Connects to addresses that were checked, never to a name."""

    def __init__(self, rules: Rules, pace: Pace) -> None:
        self._rules = rules
        self._pace = pace
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        refused: httpcore.NetworkError | httpcore.TimeoutException | None = None
        for address in self.addresses_of(host, port)[:MAX_ADDRESSES]:
            self._pace.step()
            try:
                stream = self._plain.connect_tcp(address, port, timeout)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                refused = error
                continue
            return PacedStream(stream, self._pace)
        raise refused or EgressError(f"{host} cannot be reached")

    def connect_unix_socket(self, *_: Any, **__: Any) -> NoReturn:
        raise EgressError("only the network is contacted")

    def addresses_of(self, host: str, port: int) -> list[str]:
        """Resolve once and check all; raise `EgressError` if one may not be had."""
        # One message for all: the answer must not tell which inner names exist.
        unknown = f"{host} is unknown or at an address that this server may not contact"
        if literal(host) is not None:
            found: Sequence[str] = [host]
        else:
            try:
                found = self._resolved(host, port)
            except (OSError, UnicodeError) as error:
                raise EgressError(unknown) from error
        try:
            addresses = [ip_address(text) for text in found]
        except ValueError as error:
            raise EgressError(unknown) from error
        permits = self._rules.allowed.permits
        if not addresses or not all(permits(host, one) for one in addresses):
            raise EgressError(unknown)
        return [str(address) for address in addresses]

    def _resolved(self, host: str, port: int) -> Sequence[str]:
        """Ask in a thread: the system's resolver can neither be timed nor stopped."""
        answers: queue.SimpleQueue[Sequence[str] | OSError] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self._rules.resolver(host, port))
            except (OSError, UnicodeError) as error:
                answers.put(OSError(str(error)))

        threading.Thread(target=ask, daemon=True, name="resolver").start()
        until = time.monotonic() + self._rules.resolve_seconds
        while time.monotonic() < until:
            self._pace.step()
            try:
                answer = answers.get(timeout=SLICE_SECONDS)
            except queue.Empty:
                continue
            if isinstance(answer, OSError):
                raise answer
            return answer
        raise TimeoutError


class PacedStream(httpcore.NetworkStream):
    """A connection that looks up between short waits."""

    def __init__(self, stream: httpcore.NetworkStream, pace: Pace) -> None:
        self._stream = stream
        self._pace = pace

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            self._pace.step()
            try:
                received = self._stream.read(max_bytes, timeout=SLICE_SECONDS)
            except httpcore.ReadTimeout:
                if until is not None and time.monotonic() > until:
                    raise
                continue
            self._pace.step(len(received))
            return received

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, timeout)
        return PacedStream(secured, self._pace)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
