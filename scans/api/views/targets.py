"""Targets: what was scanned under one name, its verdicts and findings over time."""

from __future__ import annotations

import uuid

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from scans.api import target_examples
from scans.api.queries import HistoryQuery, TargetFindingQuery, TargetQuery
from scans.api.target_answers import (
    StepSerializer,
    TargetDetailSerializer,
    TargetFindingSerializer,
    TargetSerializer,
)
from scans.api.views.door import Door, ListDoor
from scans.choices import NotFound
from scans.exports.target_shapes import (
    TARGETS,
    findings_of_target,
    history,
    memory_shape,
    read_target,
    step_shape,
    target_shape,
    with_newest,
)
from scans.models import Target


class TargetListView(ListDoor):
    query = TargetQuery

    @extend_schema(
        operation_id="list_targets",
        summary="List targets, the last scanned first",
        parameters=[TargetQuery],
        responses=TargetSerializer(many=True),
        examples=target_examples.TARGETS,
    )
    def get(self, request: Request) -> Response:
        page = self.page(TARGETS, (), target_shape)
        page.data = with_newest(page.data)
        return page


class TargetView(Door):
    @extend_schema(
        operation_id="get_target",
        summary="One target, its baseline and the counts of its findings",
        responses=TargetDetailSerializer,
    )
    def get(self, request: Request, target_id: uuid.UUID) -> Response:
        target = read_target(target_id)
        if target is None:
            raise NotFound("There is no such target")
        return Response(target)


class TargetHistoryListView(ListDoor):
    query = HistoryQuery

    @extend_schema(
        operation_id="list_history_of_target",
        summary="The judged scans of a target, newest first",
        description=target_examples.HISTORY,
        parameters=[HistoryQuery],
        responses=StepSerializer(many=True),
        examples=target_examples.STEPS,
    )
    def get(self, request: Request, target_id: uuid.UUID) -> Response:
        page = self.page(history(target_id), (), step_shape)
        return known(page, target_id)


class TargetFindingsView(ListDoor):
    query = TargetFindingQuery

    @extend_schema(
        operation_id="list_findings_of_target",
        summary="The findings of a target across its scans, worst first",
        description=target_examples.FINDINGS,
        parameters=[TargetFindingQuery],
        responses=TargetFindingSerializer(many=True),
        examples=target_examples.MEMORIES,
    )
    def get(self, request: Request, target_id: uuid.UUID) -> Response:
        page = self.page(findings_of_target(target_id), (), memory_shape)
        return known(page, target_id)


def known(page: Response, target_id: uuid.UUID) -> Response:
    """Return the page; an empty one of a target that does not exist is a 404."""
    if not page.data and not Target.objects.filter(pk=target_id).exists():
        raise NotFound("There is no such target")
    return page
