"""Baselines: propose, look at, approve, retire, delete."""

from __future__ import annotations

import uuid

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from apikeys.api.idempotency import IdempotentPostMixin
from apikeys.api.serializers import NothingSerializer
from apikeys.authentication import actor_of
from apikeys.choices import Role
from scans import baselines
from scans.api import baseline_examples, shown
from scans.api.answers import BaselineDetailSerializer, BaselineSerializer
from scans.api.bodies import NewBaselineSerializer
from scans.api.queries import BaselineQuery
from scans.api.views.door import Door, ListDoor
from scans.choices import NotFound
from scans.exports.shapes import BASELINE_COLUMNS, Row, baseline_shape, read_baseline
from scans.models import Baseline


class BaselineListView(IdempotentPostMixin, ListDoor):
    role_for = {"GET": Role.VIEWER, "POST": Role.ADMIN}
    query = BaselineQuery

    @extend_schema(
        operation_id="list_baselines",
        summary="List baselines, newest first",
        parameters=[BaselineQuery],
        responses=BaselineSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        rows = Baseline.objects.order_by("-created_at", "-baseline_id")
        return self.page(rows, BASELINE_COLUMNS, baseline_shape)

    @extend_schema(
        operation_id="create_baseline",
        summary="Propose a baseline from a completed scan",
        description=baseline_examples.PROPOSE,
        request=NewBaselineSerializer,
        responses={201: BaselineDetailSerializer},
        examples=[*baseline_examples.PROPOSALS, *shown.BASELINE_DETAIL],
    )
    def post(self, request: Request) -> Response:
        wanted = NewBaselineSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        baseline = baselines.create(
            **wanted.validated_data, actor=actor_of(request), request=request._request
        )
        where = {"Location": reverse("baseline", args=[baseline.pk])}
        return Response(found(baseline.pk), status.HTTP_201_CREATED, headers=where)


class BaselineView(Door):
    role_for = {"GET": Role.VIEWER, "DELETE": Role.ADMIN}

    @extend_schema(
        operation_id="get_baseline",
        summary="One baseline with its elements",
        responses=BaselineDetailSerializer,
    )
    def get(self, request: Request, baseline_id: uuid.UUID) -> Response:
        return Response(found(baseline_id))

    @extend_schema(
        operation_id="delete_baseline",
        summary="Delete a baseline",
        responses={204: None},
    )
    def delete(self, request: Request, baseline_id: uuid.UUID) -> Response:
        actor = actor_of(request)
        baselines.delete(baseline_id, actor=actor, request=request._request)
        return Response(status=status.HTTP_204_NO_CONTENT)


class ApproveView(IdempotentPostMixin, Door):
    role_for = {"POST": Role.ADMIN}

    @extend_schema(
        operation_id="approve_baseline",
        summary="Put a baseline in force; the one before it is retired",
        request=NothingSerializer,
        responses=BaselineDetailSerializer,
    )
    def post(self, request: Request, baseline_id: uuid.UUID) -> Response:
        NothingSerializer(data=request.data).is_valid(raise_exception=True)
        actor = actor_of(request)
        baselines.approve(baseline_id, actor=actor, request=request._request)
        return Response(found(baseline_id))


class RetireView(IdempotentPostMixin, Door):
    role_for = {"POST": Role.ADMIN}

    @extend_schema(
        operation_id="retire_baseline",
        summary="Take a baseline out of force",
        request=NothingSerializer,
        responses=BaselineDetailSerializer,
    )
    def post(self, request: Request, baseline_id: uuid.UUID) -> Response:
        NothingSerializer(data=request.data).is_valid(raise_exception=True)
        actor = actor_of(request)
        baselines.retire(baseline_id, actor=actor, request=request._request)
        return Response(found(baseline_id))


def found(baseline_id: uuid.UUID) -> Row:
    baseline = read_baseline(baseline_id)
    if baseline is None:
        raise NotFound("There is no such baseline")
    return baseline
