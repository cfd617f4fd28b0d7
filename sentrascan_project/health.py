"""Is the service there? Asked by proxies, orchestrators and the runbook."""

from __future__ import annotations

import logging

from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys.api.strict import strict_query

logger = logging.getLogger(__name__)

OK = b'{"status": "ok"}'
UNAVAILABLE = b'{"status": "unavailable"}'
RETRY_SECONDS = 5


class HealthSerializer(serializers.Serializer[None]):
    status = serializers.ChoiceField(["ok", "unavailable"])


class HealthView(APIView):
    """Answers whether the database answers. A key that is presented must be valid."""

    permission_classes = []
    throttle_classes = []

    @extend_schema(
        operation_id="get_health",
        summary="Health",
        auth=[],
        responses={
            200: HealthSerializer,
            503: OpenApiResponse(
                HealthSerializer,
                "The database does not answer.",
                [OpenApiExample("Away", {"status": "unavailable"})],
            ),
        },
    )
    def get(self, request: Request) -> HttpResponse:
        strict_query(request, ())
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return HttpResponse(OK, "application/json")

    def handle_exception(self, exc: Exception) -> Response:
        # Also what the check of a presented key met.
        if isinstance(exc, DatabaseError | InterfaceError):
            logger.error("The database does not answer: %s", " ".join(str(exc).split()))
            headers = {"Retry-After": str(RETRY_SECONDS)}
            return HttpResponse(  # type: ignore[return-value]  # DRF takes any
                UNAVAILABLE, "application/json", 503, headers=headers
            )
        return super().handle_exception(exc)


def livez(request: HttpRequest) -> HttpResponse:
    """Say that this process answers; nothing else is asked."""
    return HttpResponse(OK, "application/json")
