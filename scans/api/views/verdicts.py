"""The latest verdict on some bytes, for a gate that knows only their digest."""

from __future__ import annotations

import re

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from scans.api import examples
from scans.api.answers import VerdictSerializer
from scans.api.conditional import answer
from scans.api.queries import VerdictQuery
from scans.api.views.door import Door
from scans.choices import NotFound, RunStatus, ScanStatus
from scans.exports.shapes import SCAN_COLUMNS, verdict_shape
from scans.models import Scan

_DIGEST = re.compile(r"[0-9a-f]{64}")


class VerdictView(Door):
    query = VerdictQuery

    @extend_schema(
        operation_id="get_verdict",
        summary="The latest verdict on these bytes",
        parameters=[VerdictQuery, examples.IF_NONE_MATCH],
        responses={200: VerdictSerializer, 304: None},
    )
    def get(self, request: Request, digest: str) -> HttpResponse:
        if not _DIGEST.fullmatch(digest.lower()):
            raise ValidationError({"digest": ["64 hexadecimal digits of a SHA-256."]})
        # Left-out scanners saw less than these bytes; a baseline is one target's.
        whole = (
            Scan.objects.filter(digest=digest.lower(), policy_name=self.asked["policy"])
            .filter(scan_status=ScanStatus.COMPLETED)
            .exclude(runs__status=RunStatus.SKIPPED)
            .exclude(baseline__isnull=False, policy__document__only_new=True)
        )
        latest = whole.order_by("-created_at", "-scan_id").values(*SCAN_COLUMNS).first()
        if latest is None:
            raise NotFound("These bytes have not been judged by this policy")
        return answer(request, verdict_shape(latest), is_final=True)
