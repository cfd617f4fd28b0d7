"""What all of /api/v1 shares: how bodies are read, answers written, failures told."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import IO, TYPE_CHECKING, Any

import orjson
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import PermissionDenied, Throttled
from rest_framework.metadata import BaseMetadata
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from scanners import strict_json
from scans.console import failures
from sentrascan_project.paging import KeysetPagination
from sentrascan_project.problems import answer_to, problem

if TYPE_CHECKING:
    # DRF's views import this module: it is named in their settings.
    from rest_framework.views import APIView

__all__ = [
    "KeysetPagination",
    "NoMetadata",
    "OrjsonRenderer",
    "PlainNegotiation",
    "StrictJSONParser",
    "bad_request",
    "forbidden",
    "not_found",
    "problem_handler",
    "server_failure",
]

ANYTHING = "*/*"


class StrictJSONParser(BaseParser):
    """JSON that every reader reads alike; raises `strict_json.DocumentError`."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        # One byte more than is taken shows that there is more.
        raw = stream.read(limit + 1)
        if len(raw) > limit:
            raise RequestDataTooBig
        value = strict_json.parse(raw)
        strict_json.check(value)
        return value


class OrjsonRenderer(BaseRenderer):
    """Times in UTC end in `Z` (RFC 3339); UUIDs are texts."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        if data is None:
            return b""
        try:
            return orjson.dumps(data, option=orjson.OPT_UTC_Z)
        except orjson.JSONEncodeError:
            # A tool's evidence may hold integers beyond 64 bits or half a surrogate.
            plain = json.dumps(data, default=_plain)
            return plain.encode()


def _plain(value: Any) -> Any:
    return orjson.loads(orjson.dumps(value, option=orjson.OPT_UTC_Z))


class PlainNegotiation(DefaultContentNegotiation):
    """DRF's, without reading what nearly every client says: anything, or JSON."""

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        accepts = request.META.get("HTTP_ACCEPT", ANYTHING)
        if accepts in {ANYTHING, first.media_type} and not format_suffix:
            return first, str(first.media_type)
        found: tuple[BaseRenderer, str] = super().select_renderer(
            request, renderers, format_suffix
        )
        return found


class NoMetadata(BaseMetadata):
    """OPTIONS says what is allowed in `Allow`; the schema says the rest."""

    def determine_metadata(self, request: Request, view: APIView) -> dict[str, str]:
        return {}


def problem_handler(exc: Exception, context: Mapping[str, Any]) -> HttpResponse | None:
    """DRF's EXCEPTION_HANDLER; what it answers None to becomes a logged 500."""
    request, view = context["request"], context["view"]
    if isinstance(exc, PermissionDenied):
        # DRF counts after permissions: a refused request would count for nothing.
        try:
            view.check_throttles(request)
        except Throttled as throttled:
            exc = throttled
    return answer_to(exc, request)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400 and its kin: problems below /api/, pages elsewhere."""
    return problem(request, 400) if is_api(request) else failures.page(request, 400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return problem(request, 403)
    return failures.too_small_a_role(request, str(exception))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problem(request, 404) if is_api(request) else failures.page(request, 404)


def server_failure(request: HttpRequest) -> HttpResponse:
    # What a view meets is answered there; here is what middleware and pages met.
    error = sys.exc_info()[1]
    if is_api(request) and isinstance(error, OperationalError | InterfaceError):
        answer = answer_to(error, Request(request))
        if answer is not None:
            return answer
    return (
        problem(request, 500) if is_api(request) else failures.server_failure(request)
    )


def is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")
