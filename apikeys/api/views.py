"""Keys and audit events over HTTP; for admins."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from apikeys import keyring
from apikeys.api.idempotency import IdempotentPostMixin
from apikeys.api.serializers import (
    ApiKeySerializer,
    AuditEventSerializer,
    AuditQuerySerializer,
    CreatedApiKeySerializer,
    NewApiKeySerializer,
    NothingSerializer,
    RotationSerializer,
)
from apikeys.api.strict import PAGE_PARAMETERS, strict_query
from apikeys.authentication import actor_of
from apikeys.choices import Role
from apikeys.models import ApiKey, AuditEvent, DuplicateName, NotLive


class Conflict(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"


class ApiKeyListView(IdempotentPostMixin, GenericAPIView[ApiKey]):
    role_for = {"GET": Role.ADMIN, "POST": Role.ADMIN}
    queryset = ApiKey.objects.order_by("-created_at", "-key_id")
    serializer_class = ApiKeySerializer

    @extend_schema(operation_id="list_api_keys")
    def get(self, request: Request) -> Response:
        strict_query(request, PAGE_PARAMETERS)
        return _page(self)

    @extend_schema(
        operation_id="create_api_key",
        request=NewApiKeySerializer,
        responses={201: CreatedApiKeySerializer},
    )
    def post(self, request: Request) -> Response:
        strict_query(request, ())
        wanted = NewApiKeySerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        try:
            key, plain = keyring.create(
                **wanted.validated_data, actor=actor_of(request), request=request
            )
        except DuplicateName as error:
            raise Conflict(f"A live key is named {str(error)!r} already.") from error
        return _created(request, key, plain)


class ApiKeyView(GenericAPIView[ApiKey]):
    role_for = {"GET": Role.ADMIN}
    serializer_class = ApiKeySerializer

    @extend_schema(operation_id="get_api_key")
    def get(self, request: Request, key_id: uuid.UUID) -> Response:
        strict_query(request, ())
        return Response(ApiKeySerializer(_key(key_id)).data)


class RevokeView(IdempotentPostMixin, GenericAPIView[ApiKey]):
    """Revokes this one key; of a rotated pair the other stays. Twice is once."""

    role_for = {"POST": Role.ADMIN}
    serializer_class = NothingSerializer

    @extend_schema(
        operation_id="revoke_api_key",
        request=NothingSerializer,
        responses=ApiKeySerializer,
    )
    def post(self, request: Request, key_id: uuid.UUID) -> Response:
        strict_query(request, ())
        NothingSerializer(data=request.data).is_valid(raise_exception=True)
        _key(key_id)
        keyring.revoke(key_id, actor=actor_of(request), request=request)
        return Response(ApiKeySerializer(_key(key_id)).data)


class RotateView(IdempotentPostMixin, GenericAPIView[ApiKey]):
    """Answers the successor and its secret; the old key ends after its grace."""

    role_for = {"POST": Role.ADMIN}
    serializer_class = RotationSerializer

    @extend_schema(
        operation_id="rotate_api_key",
        request=RotationSerializer,
        responses={201: CreatedApiKeySerializer},
    )
    def post(self, request: Request, key_id: uuid.UUID) -> Response:
        strict_query(request, ())
        wanted = RotationSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        try:
            key, plain = keyring.rotate(
                _key(key_id),
                **wanted.validated_data,
                actor=actor_of(request),
                request=request,
            )
        except NotLive as error:
            raise Conflict("The key is revoked, expired or replaced.") from error
        return _created(request, key, plain)


class AuditEventListView(GenericAPIView[AuditEvent]):
    role_for = {"GET": Role.ADMIN}
    queryset = AuditEvent.objects.order_by("-created_at", "-id")
    serializer_class = AuditEventSerializer

    @extend_schema(
        operation_id="list_audit_events",
        parameters=[
            OpenApiParameter("actor", OpenApiTypes.STR),
            OpenApiParameter("action", OpenApiTypes.STR),
            OpenApiParameter("created_after", OpenApiTypes.DATETIME),
            OpenApiParameter("created_before", OpenApiTypes.DATETIME),
        ],
    )
    def get(self, request: Request) -> Response:
        query = AuditQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        self.queryset = self.get_queryset().filter(**query.lookups())
        return _page(self)


def _page(view: GenericAPIView[Any]) -> Response:
    rows = view.get_queryset()
    page = view.paginate_queryset(rows)
    if page is None:
        return Response(view.get_serializer(rows, many=True).data)
    return view.get_paginated_response(view.get_serializer(page, many=True).data)


def _key(key_id: uuid.UUID) -> ApiKey:
    key = ApiKey.objects.filter(pk=key_id).first()
    if key is None:
        raise Http404
    return key


def _created(request: Request, key: ApiKey, plain: str) -> Response:
    location = reverse("api-key", kwargs={"key_id": key.pk})
    return Response(
        CreatedApiKeySerializer(key, context={"key": plain}).data,
        status=status.HTTP_201_CREATED,
        headers={"Location": location, "Cache-Control": "no-store"},
    )
