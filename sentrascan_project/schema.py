"""OpenAPI 3.1 of /api/v1, and a page that renders it with nothing from elsewhere."""

from __future__ import annotations

import threading
from functools import cache
from http import HTTPStatus
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from apikeys.api.strict import strict_query
from sentrascan_project import problems

type Document = dict[str, Any]

MEDIA_TYPE = "application/vnd.oai.openapi+json"
_generating = threading.Lock()
METHODS = ("get", "post", "put", "patch", "delete")
# What each status means here; 401, 403 and the like need no word more.
MEANINGS = {
    400: "A field or parameter is unknown or wrong; `errors` names it.",
    401: "No valid key.",
    403: "The key's role is too small.",
    404: "There is no such thing.",
    406: "No answer in the media types of `Accept`.",
    409: "The state does not allow it, or an `Idempotency-Key` is in use.",
    410: "The bytes that this needs are gone.",
    411: "The body came without a `Content-Length`.",
    412: "`If-Match` names another version than the newest.",
    413: "The body is too large.",
    415: "A body of this media type is not taken.",
    422: "The `Idempotency-Key` was used for another request.",
    429: "Too many requests; `Retry-After` says when.",
    500: "A fault of the server; its log holds the `request_id`.",
    503: "The database does not answer; `Retry-After` says when to try again.",
    507: "The server is short of disk space.",
}
PROBLEM: Document = {
    "type": "object",
    "description": "RFC 9457.",
    "required": [
        *("type", "title", "status", "detail", "instance", "errors", "request_id"),
    ],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "format": "uri-reference"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["detail"],
                "properties": {
                    "pointer": {
                        "type": "string",
                        "description": "JSON Pointer (RFC 6901) into the body.",
                    },
                    "parameter": {"type": "string", "description": "Of query or path."},
                    "header": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
        "request_id": {"type": "string"},
    },
    "example": {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": 'scan_type: "picture" is not a valid choice.',
        "instance": "/api/v1/scans",
        "errors": [
            {"pointer": "/scan_type", "detail": '"picture" is not a valid choice.'}
        ],
        "request_id": "019ab1c2d3e4700080000123456789ab",
    },
}
IDEMPOTENCY_KEY: Document = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "The same request with the same key is done once within 24 hours.",
}
PAGE_HEADERS = {
    "Link": "`next` and `prev` page (RFC 8288).",
    "X-Total-Count": "Rows in all pages, counted to 10,000.",
    "X-Total-Count-Type": "`exact` or `at_least`.",
}


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # no types
    target_class = "apikeys.authentication.ApiKeyAuthentication"
    name = ["ApiKey", "Bearer"]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[Document]:
        return [
            {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            {"type": "http", "scheme": "bearer"},
        ]


def complete(
    result: Document, generator: SchemaGenerator, request: object, public: bool
) -> Document:
    """drf-spectacular's hook: what every operation answers when it goes wrong."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM
    for path, operations in result["paths"].items():
        for method in METHODS:
            if method in operations:
                _complete(operations[method], path, method)
    return result


def _complete(operation: Document, path: str, method: str) -> None:
    # The generator means both schemes together; either will do.
    schemes = [{n: s[n]} for s in operation.get("security", []) for n in s]
    is_public = not schemes
    operation["security"] = schemes or [{}]
    statuses = {400, 401, 406, 429, 500, 503} - ({429} if is_public else set())
    if not is_public:
        statuses |= {403}
    if "{" in path:
        statuses |= {404}
    if method == "post":
        statuses |= {409, 411, 413, 415, 422}
        operation.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
    if "/report." in path or path.endswith(("/sbom", "/drift")):
        statuses |= {409}
    if method == "put":
        statuses |= {411, 412, 413, 415}
    if path.endswith("/rescan"):
        statuses |= {410}
    if path.endswith("/scans") and method == "post":
        statuses |= {507}
    responses = operation["responses"]
    for status in sorted(statuses):
        responses.setdefault(str(status), _problem(status))
    for status, response in responses.items():
        _describe(response, int(status), operation)


def _problem(status: int) -> Document:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        "description": MEANINGS.get(status, HTTPStatus(status).phrase),
        "content": {problems.MEDIA_TYPE: {"schema": schema}},
    }


def _describe(response: Document, status: int, operation: Document) -> None:
    """Give the answer a description, and name the headers that clients read."""
    response["description"] = response.get("description") or HTTPStatus(status).phrase
    names: dict[str, str] = {"X-Request-ID": "Names this request in the server's log."}
    if status in {201, 202}:
        names["Location"] = "Where the thing is."
    if status in {202, 429, 503, 507}:
        names["Retry-After"] = "Seconds."
    if status == 401:
        names["WWW-Authenticate"] = "The scheme that is wanted."
    parameters = {parameter["name"] for parameter in operation.get("parameters", [])}
    if status == 200 and "cursor" in parameters:
        names |= PAGE_HEADERS
    if status in {200, 304} and "If-None-Match" in parameters:
        names["ETag"] = "Of what does not change any more."
    headers = response.setdefault("headers", {})
    for name, text in names.items():
        headers[name] = {"description": text, "schema": {"type": "string"}}


@cache
def document() -> bytes:
    """Return the schema as JSON; made once a process."""
    # The generator notes on the views' own classes where it is: two at once break it.
    with _generating:
        generator = SchemaGenerator(api_version="v1")  # type: ignore[no-untyped-call]  # no types
        schema = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]  # no types
    return orjson.dumps(schema, default=str)


class OpenApiRenderer(BaseRenderer):
    """Only negotiated: the view answers with bytes that are ready."""

    media_type = MEDIA_TYPE
    format = "openapi"
    charset = None


class SchemaView(APIView):
    authentication_classes = []
    permission_classes = []
    renderer_classes = [*APIView.renderer_classes, OpenApiRenderer]

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        strict_query(request, ())
        return HttpResponse(document(), request.accepted_media_type)


@csrf_exempt  # it takes no POST, and says so as a problem
def docs(request: HttpRequest) -> HttpResponse:
    """The page for people: Swagger UI from our own static files."""
    if request.method not in {"GET", "HEAD"}:
        headers = {"Allow": "GET, HEAD"}
        return problems.problem(request, 405, headers=headers)
    return render(request, "docs.html")
