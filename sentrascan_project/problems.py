"""Every 4xx and 5xx below /api/ as a problem document (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from rest_framework import exceptions
from rest_framework.request import Request

from scanners.strict_json import DocumentError
from scans.choices import Conflict, Gone, NotFound, Outdated, Refused
from scans.storage import InsufficientSpace, TooLarge

logger = logging.getLogger(__name__)

IDEMPOTENCY_KEY = "Idempotency-Key"
MEDIA_TYPE = "application/problem+json"
DATABASE_RETRY_SECONDS = 5
QUERY_CANCELED = "57014"  # PostgreSQL: what statement_timeout ends
SPACE_RETRY_SECONDS = 60
# They have no body: a field that an answer to them names is of the query.
BODILESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})

type Detail = Mapping[str, Any] | Sequence[Any] | str


def problem(
    request: HttpRequest | Request,
    status: int,
    *,
    detail: str = "",
    errors: Iterable[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """Return the answer; `errors` are `{"pointer"|"parameter"|"header", "detail"}`."""
    phrase = HTTPStatus(status).phrase
    body = {
        "type": "about:blank",
        "title": phrase,
        "status": status,
        "detail": detail or phrase,
        "instance": request.path,
        "errors": list(errors),
        "request_id": getattr(request, "request_id", ""),
    }
    answer = HttpResponse(orjson.dumps(body), MEDIA_TYPE, status, headers=headers)
    answer.headers.setdefault("Cache-Control", "no-store")
    # Django would log each a second time, and 503 as an error of ours; a fault that
    # nobody expected is a 500 and keeps its line with the trace.
    answer._has_been_logged = status != 500  # type: ignore[attr-defined]  # Django's own
    return answer


def answer_to(exc: Exception, request: Request) -> HttpResponse | None:
    """Return the problem that an expected exception is; None for an unexpected one."""
    match exc:
        case exceptions.APIException():
            return _of_framework(exc, request)
        case Refused():
            where = {"pointer": f"/{exc.field}", "detail": exc.message}
            headers = _retry(SPACE_RETRY_SECONDS) if exc.status == 507 else None
            return problem(
                request,
                exc.status,
                detail=f"{exc.field}: {exc.message}",
                errors=[where],
                headers=headers,
            )
        case NotFound() | Http404():
            return problem(request, 404, detail=_said(exc))
        case Conflict():
            return problem(request, 409, detail=_said(exc))
        case Outdated():
            return problem(request, 412, detail=_said(exc))
        case Gone():
            return problem(request, 410, detail=_said(exc))
        case PermissionDenied():
            return problem(request, 403)
        case _:
            return _of_body(exc, request) or _of_database(exc, request)


def _of_body(exc: Exception, request: Request) -> HttpResponse | None:
    match exc:
        case DocumentError():
            where = {"pointer": exc.pointer, "detail": exc.message}
            return problem(request, 400, detail=exc.message, errors=[where])
        case TooLarge() | RequestDataTooBig():
            return problem(
                request, 413, detail="The body is larger than is taken here."
            )
        case InsufficientSpace():
            return problem(
                request, 507, detail=str(exc), headers=_retry(SPACE_RETRY_SECONDS)
            )
        case UnreadablePostError():
            return problem(request, 400, detail="The body ended early.")
        case SuspiciousOperation():
            return problem(request, 400, detail="This request has too many parts.")
        case _:
            return None


def _of_database(exc: Exception, request: Request) -> HttpResponse | None:
    if not isinstance(exc, OperationalError | InterfaceError):
        return None
    if getattr(exc.__cause__, "sqlstate", "") == QUERY_CANCELED:
        logger.warning("A query of %s took too long and was ended", request.path)
        detail = "The question takes too long to answer; ask for less, or again later."
    else:
        reason = " ".join(str(exc).split())
        logger.error("The database did not answer %s: %s", request.path, reason)
        detail = "The database does not answer; try again soon."
    headers = _retry(DATABASE_RETRY_SECONDS)
    return problem(request, 503, detail=detail, headers=headers)


def _of_framework(exc: exceptions.APIException, request: Request) -> HttpResponse:
    headers = {}
    if challenge := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = str(challenge)
    if wait := getattr(exc, "wait", None):
        headers["Retry-After"] = str(int(wait))
    errors: list[dict[str, str]] = []
    if isinstance(exc.detail, dict | list) and not isinstance(
        exc, exceptions.ParseError
    ):
        errors = list(_errors(exc.detail, request))
        detail = "; ".join(map(_sentence, errors[:3]))
    else:
        detail = str(exc.detail)
    return problem(
        request, exc.status_code, detail=detail, errors=errors, headers=headers
    )


def _errors(detail: Detail, request: Request) -> Iterator[dict[str, str]]:
    """Yield one entry for each message of a framework's nested validation detail."""
    for path, message in _leaves(detail, ()):
        name = path[0] if path else ""
        if name == IDEMPOTENCY_KEY:
            yield {"header": name, "detail": message}
        elif name and (request.method in BODILESS or name in request.query_params):
            yield {"parameter": name, "detail": message}
        else:
            pointer = "".join(f"/{_escaped(part)}" for part in path)
            yield {"pointer": pointer, "detail": message}


def _leaves(
    detail: Detail, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(detail, Mapping):
        for key, value in detail.items():
            step = () if key == "non_field_errors" else (str(key),)
            yield from _leaves(value, path + step)
    elif isinstance(detail, str):
        yield path, str(detail)
    else:
        for index, value in enumerate(detail):
            # A list of texts are messages; of anything else, entries by position.
            step = () if isinstance(value, str) else (str(index),)
            yield from _leaves(value, path + step)


def _sentence(entry: Mapping[str, str]) -> str:
    where = next(entry[k] for k in ("parameter", "header", "pointer") if k in entry)
    where = where.lstrip("/")
    return f"{where}: {entry['detail']}" if where else entry["detail"]


def _escaped(part: str) -> str:
    # RFC 6901. A lone surrogate in a key cannot be said in UTF-8.
    text = part.replace("~", "~0").replace("/", "~1")
    return text.encode("utf-8", "backslashreplace").decode()


def _said(exc: Exception) -> str:
    # Django's own 404 names the model or dumps the routes that were tried.
    told = exc.args and isinstance(exc.args[0], str) and not isinstance(exc, Http404)
    return str(exc.args[0]) if told else ""


def _retry(seconds: int) -> dict[str, str]:
    return {"Retry-After": str(seconds)}
