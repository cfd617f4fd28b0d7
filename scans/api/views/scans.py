"""Scans: submit, list, look at, cancel, run again, delete."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from apikeys.api.idempotency import IdempotentPostMixin
from apikeys.api.serializers import NothingSerializer
from apikeys.authentication import actor_of
from apikeys.choices import Role
from scans import intake
from scans.api import examples
from scans.api.answers import ScanDetailSerializer, ScanSerializer
from scans.api.bodies import RescanSerializer, SubmissionSerializer, UploadSerializer
from scans.api.conditional import answer
from scans.api.holding import wait_until_finished, wanted_wait
from scans.api.queries import ScanQuery
from scans.api.uploads import UploadParser, received_files, texts_of
from scans.api.views.door import Door, ListDoor
from scans.choices import Gone, NotFound
from scans.exports.shapes import SCAN_ROWS, Row, read_scan_detail, scan_shape_of
from scans.models import FINISHED
from scans.submissions import Submission

RETRY_SECONDS = "1"


class ScanListView(IdempotentPostMixin, ListDoor):
    role_for = {"GET": Role.VIEWER, "POST": Role.SCANNER}
    query = ScanQuery
    parser_classes = [*ListDoor.parser_classes, UploadParser]
    serializer_class = ScanSerializer
    # Nobody looks into them: to read and write a hundred would be a sixth of a page.
    as_written = ("detail__labels", "detail__reasons")

    @extend_schema(
        operation_id="list_scans",
        summary="List scans, newest first",
        parameters=[ScanQuery],
        responses=ScanSerializer(many=True),
    )
    def get(self, request: Request) -> HttpResponse:
        return self.ready_page(SCAN_ROWS, (), scan_shape_of)

    @extend_schema(
        operation_id="submit_scan",
        summary="Submit a scan",
        description=examples.SUBMIT,
        parameters=[examples.PREFER],
        request={
            "application/json": SubmissionSerializer,
            "multipart/form-data": examples.UPLOAD_FORM,
        },
        responses={200: ScanDetailSerializer, 202: ScanDetailSerializer},
        examples=examples.SUBMISSIONS,
    )
    def post(self, request: Request) -> Response:
        submission = submission_of(request)
        http = request._request
        scan = intake.submit(submission, actor=actor_of(request), request=http)
        seconds = wanted_wait(request.headers.get("Prefer", ""))
        is_finished = wait_until_finished(scan.pk, seconds)
        return accepted(scan.pk, waited=seconds if is_finished else 0)

    def idempotency_fingerprint(self, request: Request) -> str:
        if not is_form(request):
            return super().idempotency_fingerprint(request)
        files = [[p.name, p.received.sha256] for p in received_files(request)]
        parts = [request.path, sorted(request.POST.lists()), sorted(files)]
        return hashlib.sha256(repr(parts).encode()).hexdigest()


class ScanView(Door):
    role_for = {"GET": Role.VIEWER, "DELETE": Role.ADMIN}

    @extend_schema(
        operation_id="get_scan",
        summary="One scan with its runs",
        parameters=[examples.IF_NONE_MATCH],
        responses={200: ScanDetailSerializer, 304: None},
    )
    def get(self, request: Request, scan_id: uuid.UUID) -> HttpResponse:
        scan = found(scan_id)
        return answer(request, scan, is_final=scan["scan_status"] in FINISHED)

    @extend_schema(
        operation_id="delete_scan",
        summary="Delete a scan in any state",
        responses={204: None},
    )
    def delete(self, request: Request, scan_id: uuid.UUID) -> Response:
        actor = actor_of(request)
        if not intake.delete([scan_id], actor=actor, request=request._request):
            raise NotFound("There is no such scan")
        return Response(status=status.HTTP_204_NO_CONTENT)


class CancelView(IdempotentPostMixin, Door):
    role_for = {"POST": Role.SCANNER}

    @extend_schema(
        operation_id="cancel_scan",
        summary="End a queued or running scan",
        request=NothingSerializer,
        responses={202: ScanDetailSerializer},
    )
    def post(self, request: Request, scan_id: uuid.UUID) -> Response:
        NothingSerializer(data=request.data).is_valid(raise_exception=True)
        intake.cancel(scan_id, actor=actor_of(request), request=request._request)
        return accepted(scan_id)


class RescanView(IdempotentPostMixin, Door):
    role_for = {"POST": Role.SCANNER}

    @extend_schema(
        operation_id="rescan",
        summary="Scan the same source again",
        request=RescanSerializer,
        responses={202: ScanDetailSerializer},
    )
    def post(self, request: Request, scan_id: uuid.UUID) -> Response:
        wanted = RescanSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        scan = intake.rescan(
            scan_id,
            fresh=wanted.validated_data["fresh"],
            actor=actor_of(request),
            request=request._request,
        )
        return accepted(scan.pk)


def is_form(request: Request) -> bool:
    return (request.content_type or "").startswith("multipart/")


def submission_of(request: Request) -> Submission:
    """Return what the body asks for; raise `ValidationError` naming its fields."""
    traceparent = request.META.get("HTTP_TRACEPARENT", "")
    if not is_form(request):
        body = SubmissionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        return body.submission(traceparent=traceparent)
    parts = received_files(request)
    form = UploadSerializer(data=texts_of(request.POST))
    form.is_valid(raise_exception=True)
    return form.submission([p.received for p in parts], traceparent=traceparent)


def found(scan_id: uuid.UUID) -> Row:
    scan = read_scan_detail(scan_id)
    if scan is None:
        raise NotFound("There is no such scan")
    return scan


def accepted(scan_id: uuid.UUID, *, waited: int = 0) -> Response:
    """Return 202 with the scan, or 200 for one that was waited for."""
    scan = read_scan_detail(scan_id)
    if scan is None:
        raise Gone("The scan has been deleted meanwhile")
    headers: dict[str, Any] = {"Location": reverse("scan", args=[scan_id])}
    if waited:
        headers["Preference-Applied"] = f"wait={waited}"
        return Response(scan, status.HTTP_200_OK, headers=headers)
    headers["Retry-After"] = RETRY_SECONDS
    return Response(scan, status.HTTP_202_ACCEPTED, headers=headers)
