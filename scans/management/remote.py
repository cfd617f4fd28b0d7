"""The REST API of a server as a door."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from scans.exports.forms import FORMS
from scans.management.doors import Document, Filters, Moved, Rejected, Unreachable
from scans.management.orders import Order

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
# A server that restarts, or a proxy that blinks, does not end a long scan's watch.
PATIENCE_SECONDS = 30.0
PAGE = 500
# Options that the command line names: a 400 about one of them is its mistake.
COMMAND_LINE_FIELDS = frozenset(
    {"policy", "labels", "timeout_seconds", "scan_type"}
    | {"name", "description", "right_id", "q"}
)
AWAY = frozenset({502, 503, 504})


class Remote:
    """A server at `url`, asked with `api_key`. `headers` go with every request."""

    def __init__(
        self, url: str, api_key: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self.url = url.rstrip("/").removesuffix("/api/v1")
        self._client = httpx.Client(
            base_url=f"{self.url}/api/v1/",
            headers={**(headers or {}), "X-API-Key": api_key},
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            # A redirect would carry the key to wherever it points.
            follow_redirects=False,
        )

    def close(self) -> None:
        self._client.close()

    def submit(self, order: Order, moved: Moved) -> Document:
        options = order.options
        fields = {"scan_type": order.kind.value, "target": order.target}
        if options.policy is not None:
            fields["policy"] = options.policy
        if options.timeout_seconds is not None:
            fields["timeout_seconds"] = str(options.timeout_seconds)
        if options.labels:
            fields["labels"] = json.dumps(dict(options.labels))
        with ExitStack() as stack:
            files = [
                ("file", (part.name, stack.enter_context(_Watched(part.path, moved))))
                for part in order.parts
            ]
            # Uploading may take as long as it takes; only silence is bounded.
            answer = self._ask("POST", "scans", data=fields, files=files)
        return _object(answer)

    def scan(self, scan_id: str) -> Document:
        return self.read(f"scans/{scan_id}")

    def findings(self, scan_id: str) -> list[Document]:
        return self.rows(f"scans/{scan_id}/findings")

    def read(self, path: str) -> Document:
        """Return the object at `path` of the API."""
        return _object(self._ask_patiently(path))

    def rows(
        self, path: str, filters: Filters | None = None, most: int | None = None
    ) -> list[Document]:
        """Return a whole list, page by page, or its first rows."""
        found: list[Document] = []
        limit = PAGE if most is None else min(most, PAGE)
        path = f"{path}?{urlencode({**(filters or {}), 'limit': limit})}"
        while path and (most is None or len(found) < most):
            answer = self._ask_patiently(path)
            found += _list(answer)
            path = answer.links.get("next", {}).get("url", "")
        return found[:most]

    def act(self, path: str, wanted: Mapping[str, str]) -> Document:
        """Ask once for a change; return what it made."""
        return _object(self._ask("POST", path, json=dict(wanted)))

    def report(self, scan_id: str, form: str) -> bytes:
        return self._ask_patiently(f"scans/{scan_id}/{FORMS[form].path}").content

    def attestation(self, scan_id: str) -> bytes:
        return self._ask_patiently(f"scans/{scan_id}/attestation").content + b"\n"

    def attestation_key(self) -> bytes:
        answer = self.read("attestation-key")
        return str(answer.get("public_key", "")).encode()

    def cancel(self, scan_id: str) -> None:
        answer = self._send("POST", f"scans/{scan_id}/cancel")
        if answer.status_code not in {202, 404, 409}:
            raise _rejected(answer)

    def work(self) -> None:
        """Nothing: the server's workers do it."""

    def _ask_patiently(self, path: str) -> httpx.Response:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self._ask("GET", path)
            except Unreachable:
                if time.monotonic() > deadline:
                    raise
            except _Busy as busy:
                if time.monotonic() + busy.seconds > deadline + PATIENCE_SECONDS:
                    raise Rejected("The server asks for too long a pause") from busy
                time.sleep(busy.seconds)
            time.sleep(1)

    def _ask(self, method: str, path: str, **content: Any) -> httpx.Response:
        answer = self._send(method, path, **content)
        if answer.status_code == 429:
            after = answer.headers.get("Retry-After", "")
            raise _Busy(min(int(after), 60) if after.isdecimal() else 5)
        if answer.status_code in AWAY:
            raise Unreachable(f"{self.url} answers {answer.status_code}: try later")
        if not answer.is_success:
            raise _rejected(answer)
        return answer

    def _send(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **content)
        except httpx.InvalidURL as error:
            raise Rejected(f"{self.url}: {error}", is_usage=True) from error
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise Unreachable(f"{self.url} does not answer: {reason}") from error


class _Watched(FileIO):
    """A file that tells how much of it was read."""

    def __init__(self, path: Path, moved: Moved) -> None:
        super().__init__(path)
        self._moved = moved

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size) or b""
        self._moved(len(data))
        return data


class _Busy(Rejected):
    """Too many requests; `seconds` is the pause the server asks for."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"The server is busy; it asks to wait {seconds} s")
        self.seconds = seconds


def _rejected(answer: httpx.Response) -> Rejected:
    status = answer.status_code
    if answer.is_redirect:
        where = answer.headers.get("Location", "elsewhere")
        return Rejected(f"The server is at {where}: name that", is_usage=True)
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        return Rejected(f"The server answered {status} {answer.reason_phrase}")
    entries = [e for e in problem.get("errors") or [] if isinstance(e, dict)]
    details = [
        ": ".join(filter(None, (_field(entry), str(entry.get("detail") or ""))))
        for entry in entries
    ] or [str(problem.get("detail") or problem.get("title") or status)]
    names_option = any(_field(entry) in COMMAND_LINE_FIELDS for entry in entries)
    return Rejected(
        "; ".join(details),
        is_usage=status == 400 and names_option,
        is_absent=status == 404,
    )


def _field(entry: Mapping[str, Any]) -> str:
    where = entry.get("pointer") or entry.get("parameter") or ""
    pointer = str(where).lstrip("#").strip("/")
    return pointer.partition("/")[0]


def _object(answer: httpx.Response) -> Document:
    body = _json(answer)
    if not isinstance(body, dict):
        raise Rejected("This is no SentraScan server: its answer is no object")
    return body


def _list(answer: httpx.Response) -> list[Document]:
    body = _json(answer)
    if not isinstance(body, list):
        raise Rejected("This is no SentraScan server: its answer is no list")
    return body


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise Rejected("This is no SentraScan server: its answer is no JSON") from error
