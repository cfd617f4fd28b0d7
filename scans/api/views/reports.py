"""A finished scan as a document for other tools, written while it is sent."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from scans.api import examples
from scans.api.conditional import is_known
from scans.api.queries import SbomQuery
from scans.api.views.door import Door
from scans.exports.forms import REPORTS, SBOMS, Form
from scans.exports.json_report import SCHEMA
from scans.exports.reading import read_report

SBOM_MEDIA_TYPE = "application/vnd.cyclonedx+json"
SCHEMA_MEDIA_TYPE = "application/schema+json"


def renderer(media_type: str) -> type[BaseRenderer]:
    """Return a renderer that is only negotiated: the view answers with a stream."""
    return type(
        "DocumentRenderer",
        (BaseRenderer,),
        {"media_type": media_type.partition(";")[0], "format": "document"},
    )


class ReportView(Door):
    form: ClassVar[Form]

    def get(self, request: Request, scan_id: uuid.UUID) -> HttpResponseBase:
        return document(request, scan_id, self.form)


def document(request: Request, scan_id: uuid.UUID, form: Form) -> HttpResponseBase:
    """Return the scan in one form, or 304; raise `NotFound` or `Conflict`."""
    report = read_report(scan_id)
    pieces = form.write(report)
    etag = f'"{form.etag(report)}"'
    if is_known(request, etag):
        return HttpResponse(status=304, headers={"ETag": etag})
    headers = {
        "ETag": etag,
        "Content-Disposition": f'attachment; filename="{form.file_name(report)}"',
        "X-Content-Type-Options": "nosniff",
        **form.headers,
    }
    if request.method == "HEAD":
        return HttpResponse(b"", form.media_type, headers=headers)
    return StreamingHttpResponse(pieces, form.media_type, headers=headers)


def report_view(form: Form) -> type[ReportView]:
    """Return the view of one form, with its own entry in the schema."""
    media_type = form.media_type.partition(";")[0]
    documented = extend_schema(
        operation_id=f"get_report_{form.name}",
        summary=f"The report of a finished scan: {form.title}",
        description=examples.REPORT,
        parameters=[examples.IF_NONE_MATCH],
        responses={(200, media_type): OpenApiTypes.ANY, 304: None},
        examples=examples.REPORTS.get(form.name, []),
    )
    renderers = [renderer(media_type), *Door.renderer_classes]
    members: dict[str, Any] = {"form": form, "renderer_classes": renderers}
    view = type(f"{form.name.capitalize()}ReportView", (ReportView,), members)
    return extend_schema_view(get=documented)(view)


REPORT_VIEWS = {suffix: report_view(form) for suffix, form in REPORTS.items()}


class SbomView(Door):
    query = SbomQuery
    renderer_classes = [renderer(SBOM_MEDIA_TYPE), *Door.renderer_classes]

    @extend_schema(
        operation_id="get_sbom",
        summary="What a finished scan looked at: a CycloneDX bill of materials",
        description=examples.SBOM,
        parameters=[SbomQuery, examples.IF_NONE_MATCH],
        responses={(200, SBOM_MEDIA_TYPE): OpenApiTypes.OBJECT, 304: None},
        examples=examples.SBOMS,
    )
    def get(self, request: Request, scan_id: uuid.UUID) -> HttpResponseBase:
        return document(request, scan_id, SBOMS[self.asked["version"]])


class ReportSchemaView(Door):
    authentication_classes = []
    permission_classes = []
    throttle_classes = []
    renderer_classes = [renderer(SCHEMA_MEDIA_TYPE), *Door.renderer_classes]

    @extend_schema(
        operation_id="get_report_schema",
        summary="JSON Schema of report.json",
        responses={(200, SCHEMA_MEDIA_TYPE): OpenApiTypes.OBJECT},
    )
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(SCHEMA.read_bytes(), SCHEMA_MEDIA_TYPE)
