"""What every request gets: an id, a checked trace context, one log line.

And what only pages get: sessions, users and messages are of browsers.
"""

from __future__ import annotations

import logging
import re
import select
import time
from collections.abc import Awaitable, Callable

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import DEFAULT_DB_ALIAS, connections
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

from scans.ids import uuid7
from sentrascan_project import logs
from sentrascan_project.metrics import observe
from sentrascan_project.problems import problem

logger = logging.getLogger("sentrascan.request")

API = "/api/"
# A page that lies below it.
DOCS = "/api/v1/docs"
# Asked every few seconds by proxies and orchestrators: noise in a log.
PROBES = frozenset({"/api/v1/health", "/livez", "/readyz", "/metrics"})
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# W3C Trace Context, level 1: version, trace id, parent id, flags; ids are not all zero.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)


class RequestIdMiddleware:
    """Sets `request.request_id` and `X-Request-ID`; drops a malformed `traceparent`.

    A client's own id is taken over when it is a short plain token. It names the
    request in logs and audit events and decides nothing.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _TOKEN.fullmatch(given) else uuid7().hex
        request.request_id = request_id  # type: ignore[attr-defined]  # ours
        trace = _TRACEPARENT.fullmatch(request.META.get("HTTP_TRACEPARENT", ""))
        if trace is None:
            request.META.pop("HTTP_TRACEPARENT", None)
        bound = logs.request_id.set(request_id)
        started = time.monotonic()
        try:
            response = _refused(request) or self.get_response(request)
            response["X-Request-ID"] = request_id
            if request.method == "HEAD" and isinstance(response, HttpResponse):
                response.content = b""  # its Content-Length stays what GET would say
            if request.path.startswith(API):
                response.headers.setdefault("Cache-Control", "private, no-cache")
            _log(request, response, started, trace[1] if trace else "")
        finally:
            logs.request_id.reset(bound)
        return response


def _refused(request: HttpRequest) -> HttpResponse | None:
    # Django reads a body without a length as empty: a chunked upload would be
    # answered as if nothing had been sent.
    is_unmeasured = "HTTP_TRANSFER_ENCODING" in request.META
    if is_unmeasured and not request.META.get("CONTENT_LENGTH"):
        return problem(request, 411, detail="Send the body with a Content-Length.")
    return None


def _log(
    request: HttpRequest, response: HttpResponseBase, started: float, trace_id: str
) -> None:
    seconds = time.monotonic() - started
    observe(request, response.status_code, seconds)
    # The path and never the query: what people search for is theirs.
    extra: dict[str, object] = {
        "method": request.method,
        "path": request.path,
        "status": response.status_code,
        "duration_ms": round(seconds * 1000, 1),
    }
    if trace_id:
        extra["trace_id"] = trace_id
    level = logging.DEBUG if request.path in PROBES else logging.INFO
    message = "%s %s %s"
    arguments = (request.method, request.path, response.status_code)
    logger.log(level, message, *arguments, extra=extra)


class LiveConnectionMiddleware:
    """Finds out without asking whether the database has left a kept connection.

    The socket of a connection whose server has gone is readable, an idle one is not.
    A look costs 2 us, Django's own question at each request a round trip; the question
    is still put when there is something to read.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        # This thread's: each name of `connection` would look for it again.
        kept = connections[DEFAULT_DB_ALIAS]
        if kept.vendor == "postgresql" and kept.connection is not None:
            kept.health_check_done = _is_quiet(kept.connection.fileno())  # type: ignore[attr-defined]  # not in its stubs
        return self.get_response(request)


def _is_quiet(socket: int) -> bool:
    look = select.poll()
    look.register(socket, select.POLLIN)
    return not look.poll(0)


class _PagesOnly(MiddlewareMixin):
    """Stands aside where a key says who asks: nothing there looks at what it sets."""

    def __call__(
        self, request: HttpRequest
    ) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if request.path.startswith(API) and request.path != DOCS:
            return self.get_response(request)
        return super().__call__(request)


class PageSessionMiddleware(_PagesOnly, SessionMiddleware):
    pass


class PageUserMiddleware(_PagesOnly, AuthenticationMiddleware):
    pass


class PageMessageMiddleware(_PagesOnly, MessageMiddleware):
    pass
