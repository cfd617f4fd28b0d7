"""Drift: a scan against its baseline, and one baseline against another."""

from __future__ import annotations

import uuid

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apikeys.api.idempotency import IdempotentPostMixin
from apikeys.choices import Role
from scans import baselines
from scans.api import baseline_examples, examples
from scans.api.answers import DriftSerializer
from scans.api.bodies import CompareSerializer
from scans.api.conditional import answer
from scans.api.views.door import Door
from scans.exports.shapes import read_drift


class ScanDriftView(Door):
    @extend_schema(
        operation_id="get_drift_of_scan",
        summary="How a finished scan differs from the approved baseline",
        description=baseline_examples.DRIFT,
        parameters=[examples.IF_NONE_MATCH],
        responses={200: DriftSerializer, 304: None},
        examples=baseline_examples.DRIFTS,
    )
    def get(self, request: Request, scan_id: uuid.UUID) -> HttpResponse:
        return answer(request, read_drift(scan_id), is_final=True)


class CompareView(IdempotentPostMixin, Door):
    # It reads, and changes nothing.
    role_for = {"POST": Role.VIEWER}

    @extend_schema(
        operation_id="compare_baselines",
        summary="How one baseline differs from another",
        description=baseline_examples.COMPARE,
        request=CompareSerializer,
        responses=DriftSerializer,
        examples=baseline_examples.COMPARISONS,
    )
    def post(self, request: Request) -> Response:
        wanted = CompareSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        return Response(baselines.compare(**wanted.validated_data))
