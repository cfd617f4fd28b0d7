"""Which policy judges what is submitted without the name of one."""

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
from scans import policy_choice
from scans.api import policy_examples, shown
from scans.api.answers import PolicyDefaultSerializer
from scans.api.bodies import NewPolicyDefaultSerializer
from scans.api.queries import PolicyDefaultQuery
from scans.api.views.door import Door, ListDoor
from scans.choices import NotFound
from scans.exports.shapes import POLICY_DEFAULT_COLUMNS, Row, policy_default_shape
from scans.models import PolicyDefault


class PolicyDefaultListView(IdempotentPostMixin, ListDoor):
    role_for = {"GET": Role.VIEWER, "POST": Role.ADMIN}
    query = PolicyDefaultQuery

    @extend_schema(
        operation_id="list_policy_defaults",
        summary="The policies of scans that name none, newest first",
        description=policy_examples.DEFAULTS,
        parameters=[PolicyDefaultQuery],
        responses=PolicyDefaultSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        rows = PolicyDefault.objects.order_by("-created_at", "-policy_default_id")
        return self.page(rows, POLICY_DEFAULT_COLUMNS, policy_default_shape)

    @extend_schema(
        operation_id="create_policy_default",
        summary="Choose the policy of scans that name none",
        description=policy_examples.DEFAULTS,
        request=NewPolicyDefaultSerializer,
        responses={201: PolicyDefaultSerializer},
        examples=[*policy_examples.NEW_DEFAULTS, *shown.POLICY_DEFAULT],
    )
    def post(self, request: Request) -> Response:
        wanted = NewPolicyDefaultSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        row = policy_choice.create(
            **wanted.validated_data,
            actor=actor_of(request),
            request=request._request,
        )
        where = {"Location": reverse("policy-default", args=[row.pk])}
        return Response(found(row.pk), status.HTTP_201_CREATED, headers=where)


class PolicyDefaultView(Door):
    role_for = {"GET": Role.VIEWER, "DELETE": Role.ADMIN}

    @extend_schema(
        operation_id="get_policy_default",
        summary="One choice of a policy",
        responses=PolicyDefaultSerializer,
    )
    def get(self, request: Request, default_id: uuid.UUID) -> Response:
        return Response(found(default_id))

    @extend_schema(
        operation_id="delete_policy_default",
        summary="Take a choice of a policy back",
        responses={204: None},
    )
    def delete(self, request: Request, default_id: uuid.UUID) -> Response:
        actor = actor_of(request)
        policy_choice.delete(default_id, actor=actor, request=request._request)
        return Response(status=status.HTTP_204_NO_CONTENT)


def found(default_id: uuid.UUID) -> Row:
    rows = PolicyDefault.objects.filter(pk=default_id).values(*POLICY_DEFAULT_COLUMNS)
    row = rows.first()
    if row is None:
        raise NotFound("There is no such default")
    return policy_default_shape(row)
