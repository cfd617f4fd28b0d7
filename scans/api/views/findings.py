"""Findings of one scan, and across scans."""

from __future__ import annotations

import uuid

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from scans.api.answers import FindingSerializer
from scans.api.queries import FindingQuery, ScanFindingQuery
from scans.api.views.door import Door, ListDoor
from scans.choices import NotFound
from scans.exports.shapes import FINDINGS, finding_shape, read_finding
from scans.models import Scan


class ScanFindingsView(ListDoor):
    query = ScanFindingQuery

    @extend_schema(
        operation_id="list_findings_of_scan",
        summary="Findings of one scan, worst first",
        parameters=[ScanFindingQuery],
        responses=FindingSerializer(many=True),
    )
    def get(self, request: Request, scan_id: uuid.UUID) -> Response:
        rows = FINDINGS.filter(scan_id=scan_id).order_by("-severity", "finding_id")
        page = self.page(rows, (), finding_shape)
        if not page.data and not Scan.objects.filter(pk=scan_id).exists():
            raise NotFound("There is no such scan")
        return page


class FindingListView(ListDoor):
    query = FindingQuery

    @extend_schema(
        operation_id="list_findings",
        summary="Findings across scans, newest first",
        parameters=[FindingQuery],
        responses=FindingSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        rows = FINDINGS.order_by("-created_at", "-finding_id")
        return self.page(rows, (), finding_shape)


class FindingView(Door):
    @extend_schema(
        operation_id="get_finding", summary="One finding", responses=FindingSerializer
    )
    def get(self, request: Request, finding_id: uuid.UUID) -> Response:
        finding = read_finding(finding_id)
        if finding is None:
            raise NotFound("There is no such finding")
        return Response(finding)
