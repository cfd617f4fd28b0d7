"""Waivers: accept a risk, look at what is accepted, take it back."""

from __future__ import annotations

import uuid

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from apikeys.api.idempotency import IdempotentPostMixin
from apikeys.authentication import actor_of
from apikeys.choices import Role
from scans import waiving
from scans.api import examples, shown
from scans.api.answers import WaiverSerializer
from scans.api.bodies import NewWaiverSerializer
from scans.api.queries import WaiverQuery
from scans.api.views.door import Door, ListDoor
from scans.choices import NotFound
from scans.exports.shapes import WAIVER_COLUMNS, Row, read_waiver, waiver_shape
from scans.models import Waiver


class WaiverListView(IdempotentPostMixin, ListDoor):
    role_for = {"GET": Role.VIEWER, "POST": Role.ADMIN}
    query = WaiverQuery

    @extend_schema(
        operation_id="list_waivers",
        summary="List waivers, newest first, expired ones too",
        parameters=[WaiverQuery],
        responses=WaiverSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        rows = Waiver.objects.order_by("-created_at", "-waiver_id")
        return self.page(rows, WAIVER_COLUMNS, waiver_shape)

    @extend_schema(
        operation_id="create_waiver",
        summary="Accept a finding until a moment",
        description=examples.WAIVE,
        request=NewWaiverSerializer,
        responses={201: WaiverSerializer},
        examples=[*examples.WAIVERS, *shown.WAIVER],
    )
    def post(self, request: Request) -> Response:
        wanted = NewWaiverSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        waiver = waiving.create(
            **wanted.wanted(), actor=actor_of(request), request=request._request
        )
        where = {"Location": reverse("waiver", args=[waiver.pk])}
        return Response(found(waiver.pk), status.HTTP_201_CREATED, headers=where)


class WaiverView(Door):
    role_for = {"GET": Role.VIEWER, "DELETE": Role.ADMIN}

    @extend_schema(
        operation_id="get_waiver", summary="One waiver", responses=WaiverSerializer
    )
    def get(self, request: Request, waiver_id: uuid.UUID) -> Response:
        return Response(found(waiver_id))

    @extend_schema(
        operation_id="delete_waiver",
        summary="End a waiver now",
        responses={204: None},
    )
    def delete(self, request: Request, waiver_id: uuid.UUID) -> Response:
        actor = actor_of(request)
        waiving.delete(waiver_id, actor=actor, request=request._request)
        return Response(status=status.HTTP_204_NO_CONTENT)


def found(waiver_id: uuid.UUID) -> Row:
    waiver = read_waiver(waiver_id)
    if waiver is None:
        raise NotFound("There is no such waiver")
    return waiver
