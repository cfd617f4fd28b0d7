"""`Idempotency-Key`: the same POST twice is done once.

The first answer is kept for 24 hours and given again, byte for byte, with
`Idempotency-Replayed: true`. The same key with another request is 422; while the first
is still at work, 409. Only what was done is kept: an answer of 400 and above, or an
exception, frees the key. An answer that carries a secret (`Cache-Control: no-store`)
is never kept: its replay is 409 naming what was created.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from apikeys.models import ApiKey, IdempotencyRecord

if TYPE_CHECKING:
    from rest_framework.views import APIView
else:
    # DRF's views import what the settings name, and that reads HEADER from here.
    APIView = object

logger = logging.getLogger(__name__)

HEADER = "Idempotency-Key"
MAX_KEY_LENGTH = 255
_KEPT_HEADERS = ("Location", "ETag", "Link", "Preference-Applied", "Retry-After")


class InFlight(APIException):
    status_code = 409
    default_detail = "The first request with this Idempotency-Key is still at work."
    default_code = "idempotency_in_flight"
    wait = 1  # what the exception handler puts into Retry-After


class OtherRequest(APIException):
    status_code = 422
    default_detail = "This Idempotency-Key was used for another request."
    default_code = "idempotency_key_reused"


class NotRepeatable(APIException):
    status_code = 409
    default_code = "idempotency_secret_not_kept"

    def __init__(self, location: str) -> None:
        super().__init__(
            "This request was done, and its answer held a secret that is not kept. "
            f"It created {location.rsplit('/', 1)[-1] or 'what it was asked to'}."
        )


class _Replay(Exception):
    def __init__(self, record: IdempotencyRecord) -> None:
        self.record = record


class IdempotentPostMixin(APIView):
    """Mixin for views, left of the view class; works for every POST with the header.

    A view with large bodies overrides `idempotency_fingerprint`.
    """

    _claim: IdempotencyRecord | None = None

    def idempotency_fingerprint(self, request: Request) -> str:
        """Return what makes two requests the same one (at most 200 characters).

        Here the SHA-256 of method, path with query, and the raw body, in memory;
        raises RequestDataTooBig beyond DATA_UPLOAD_MAX_MEMORY_SIZE.
        """
        head = f"{request.method} {request.get_full_path()}\n".encode()
        return hashlib.sha256(head + hashlib.sha256(request.body).digest()).hexdigest()

    def dispatch(
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        try:
            response = super().dispatch(request, *args, **kwargs)
            if self._claim and response.status_code < 400:
                self._keep(response)
        finally:
            if self._claim:
                _or_warn(partial(IdempotencyRecord.objects.free, self._claim))
        return response

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        # After authentication, role and rate limit, before the handler.
        super().initial(request, *args, **kwargs)
        # Django makes all headers when it is asked for one: a GET does not pay for it.
        if (
            request.method == "POST"
            and (key := request.headers.get(HEADER)) is not None
        ):
            self._open(request, key)

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, _Replay):
            # A plain answer: nothing of it is rendered again.
            return _answer(exc.record)  # type: ignore[return-value]  # DRF takes any
        return super().handle_exception(exc)

    def _open(self, request: Request, key: str) -> None:
        if not (0 < len(key) <= MAX_KEY_LENGTH and key.isascii() and key.isprintable()):
            raise ValidationError(
                {HEADER: [f"1 to {MAX_KEY_LENGTH} printable ASCII characters."]}
            )
        fingerprint = self.idempotency_fingerprint(request)
        record, is_mine = IdempotencyRecord.objects.claim(
            _owner(request), key, fingerprint
        )
        if is_mine:
            self._claim = record
        elif record.fingerprint != fingerprint:
            raise OtherRequest
        elif record.status is None:
            raise InFlight
        elif not record.is_body_kept:
            raise NotRepeatable(record.headers.get("Location", ""))
        else:
            raise _Replay(record)

    def _keep(self, response: HttpResponseBase) -> None:
        record, self._claim = self._claim, None
        # From here on the work is done: whatever fails, the key is not freed.
        if record is None or not isinstance(response, HttpResponse):
            return
        if isinstance(response, Response):
            response.render()
        headers = {
            name: response.headers[name]
            for name in (*_KEPT_HEADERS, "Content-Type")
            if name in response.headers
        }
        is_secret = "no-store" in response.headers.get("Cache-Control", "")
        keep = partial(
            IdempotencyRecord.objects.keep,
            record,
            status=response.status_code,
            headers=headers,
            body=None if is_secret else response.content,
        )
        _or_warn(keep)


def _or_warn(write: Callable[[], object]) -> None:
    """Write, but let a database that just went away not change the answer.

    What was done is done, and what failed has its own answer already. The key is in
    flight until its lease ends.
    """
    try:
        write()
    except (OperationalError, InterfaceError) as error:
        reason = " ".join(str(error).split())
        logger.warning("An Idempotency-Key stays in flight: %s", reason)


def _answer(record: IdempotencyRecord) -> HttpResponse:
    headers = {**record.headers, "Idempotency-Replayed": "true"}
    content_type = headers.pop("Content-Type", None)
    return HttpResponse(
        bytes(record.body or b""),
        status=record.status,
        content_type=content_type,
        headers=headers,
    )


def _owner(request: Request) -> str:
    if isinstance(request.auth, ApiKey):
        return f"key:{request.auth.pk}"
    return f"user:{request.user.pk if request.user else ''}"
