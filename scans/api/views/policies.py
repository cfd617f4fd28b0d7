"""Policies: make one, look at its versions, give it a new one."""

from __future__ import annotations

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from apikeys.api.idempotency import IdempotentPostMixin
from apikeys.authentication import actor_of
from apikeys.choices import Role
from scans import policies, what_if
from scans.api import examples, policy_examples, shown
from scans.api.answers import PolicySerializer, WhatIfAnswerSerializer
from scans.api.bodies import (
    NewPolicySerializer,
    PolicyDocumentSerializer,
    WhatIfSerializer,
)
from scans.api.conditional import answer, is_expected
from scans.api.queries import PolicyQuery, Query, VersionQuery
from scans.api.views.door import Door, ListDoor
from scans.choices import Outdated
from scans.exports.shapes import POLICY_COLUMNS, policy_shape
from scans.models import Policy


class PolicyListView(IdempotentPostMixin, ListDoor):
    role_for = {"GET": Role.VIEWER, "POST": Role.ADMIN}
    query = PolicyQuery

    @extend_schema(
        operation_id="list_policies",
        summary="List policies by name, each in its newest version",
        parameters=[PolicyQuery],
        responses=PolicySerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        Policy.objects.built_in()
        rows = Policy.objects.current().order_by("name", "policy_id")
        return self.page(rows, POLICY_COLUMNS, policy_shape)

    @extend_schema(
        operation_id="create_policy",
        summary="Make a policy",
        description=policy_examples.POLICY,
        request=NewPolicySerializer,
        responses={201: PolicySerializer},
        examples=[*policy_examples.NEW_POLICIES, *shown.POLICY],
    )
    def post(self, request: Request) -> Response:
        wanted = NewPolicySerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        policy = policies.create(
            **wanted.validated_data, actor=actor_of(request), request=request._request
        )
        where = {"Location": reverse("policy", args=[policy.name])}
        return Response(policy_shape(policy), status.HTTP_201_CREATED, headers=where)


class PolicyView(Door):
    role_for = {"GET": Role.VIEWER, "PUT": Role.ADMIN}
    query = VersionQuery

    @extend_schema(
        operation_id="get_policy",
        summary="One policy, in its newest or another version",
        parameters=[VersionQuery, examples.IF_NONE_MATCH],
        responses={200: PolicySerializer, 304: None},
    )
    def get(self, request: Request, name: str) -> HttpResponse:
        policy = policies.found(name, self.asked.get("version"))
        return answer(request, policy_shape(policy), is_final=True)

    @extend_schema(
        operation_id="revise_policy",
        summary="Give a policy its next version",
        description=policy_examples.REVISE,
        parameters=[policy_examples.IF_MATCH],
        request=PolicyDocumentSerializer,
        responses=PolicySerializer,
        examples=[*policy_examples.REVISIONS, *shown.POLICY],
    )
    def put(self, request: Request, name: str) -> HttpResponse:
        wanted = PolicyDocumentSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        seen = policies.found(name)
        is_seen = is_expected(request, policy_shape(seen))
        if is_seen is False:
            raise Outdated("If-Match names another version than the newest")
        policy = policies.revise(
            name,
            **wanted.validated_data,
            expected=seen.version if is_seen else None,
            actor=actor_of(request),
            request=request._request,
        )
        return answer(request, policy_shape(policy), is_final=True)


class PolicyVersionListView(ListDoor):
    query = Query

    @extend_schema(
        operation_id="list_policy_versions",
        summary="All versions of a policy, newest first",
        responses=PolicySerializer(many=True),
    )
    def get(self, request: Request, name: str) -> Response:
        policies.found(name)
        rows = Policy.objects.filter(name=name).order_by("-version", "-policy_id")
        return self.page(rows, POLICY_COLUMNS, policy_shape)


class WhatIfView(IdempotentPostMixin, Door):
    # It reads, and changes nothing.
    role_for = {"POST": Role.VIEWER}

    @extend_schema(
        operation_id="ask_what_if",
        summary="Judge stored scans by a policy, without changing them",
        description=policy_examples.WHAT_IF,
        request=WhatIfSerializer,
        responses=WhatIfAnswerSerializer,
        examples=[*policy_examples.QUESTIONS, *shown.WHAT_IF],
    )
    def post(self, request: Request, name: str) -> Response:
        wanted = WhatIfSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        asked = dict(wanted.validated_data)
        stored = policies.found(name).document
        rules = policies.rules_of(asked.pop("document", stored))
        outcome = what_if.ask(rules, **asked)
        changes = [
            {
                "scan_id": one.scan_id,
                "target": one.target,
                "before": one.before,
                "after": one.after,
            }
            for one in outcome.changes
        ]
        return Response({"summary": outcome.summary(), "changes": changes})
