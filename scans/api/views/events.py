"""Progress of one scan as server-sent events."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from scans.api import examples
from scans.api.holding import EventStream, slots
from scans.api.views.door import Door
from scans.choices import NotFound
from scans.models import FINISHED, Scan

MEDIA_TYPE = "text/event-stream"
# nginx would otherwise collect the events before it passes them on.
HEADERS = {"Cache-Control": "private, no-cache", "X-Accel-Buffering": "no"}


class AllHeld(APIException):
    status_code = 503
    default_detail = "Too many clients listen already; ask for the scan instead."
    default_code = "all_held"
    wait = 5  # what the exception handler puts into Retry-After


class EventStreamRenderer(BaseRenderer):
    """Only negotiated: the view answers with a stream of its own."""

    media_type = MEDIA_TYPE
    format = "sse"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return b""


class ScanEventsView(Door):
    renderer_classes = [EventStreamRenderer, *Door.renderer_classes]

    @extend_schema(
        operation_id="watch_scan",
        summary="Progress until finished",
        description=examples.EVENTS,
        responses={(200, MEDIA_TYPE): OpenApiTypes.STR},
    )
    def get(self, request: Request, scan_id: uuid.UUID) -> HttpResponseBase:
        has_slot = not is_finished(scan_id)
        if has_slot and not slots().acquire(blocking=False):
            raise AllHeld
        stream = EventStream(scan_id, has_slot=has_slot)
        return StreamingHttpResponse(stream, MEDIA_TYPE, headers=HEADERS)

    def head(self, request: Request, scan_id: uuid.UUID) -> HttpResponseBase:
        is_finished(scan_id)
        return HttpResponse(b"", MEDIA_TYPE, headers=HEADERS)


def is_finished(scan_id: uuid.UUID) -> bool:
    status = Scan.objects.filter(pk=scan_id).values_list("scan_status").first()
    if status is None:
        raise NotFound("There is no such scan")
    return status[0] in FINISHED
