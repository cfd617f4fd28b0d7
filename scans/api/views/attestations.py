"""A finished scan's verdict, signed; and the key that checks it."""

from __future__ import annotations

import uuid

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from scans.api import attestation_examples, examples
from scans.api.answers import AttestationKeySerializer, EnvelopeSerializer
from scans.api.conditional import answer
from scans.api.views.door import Door
from scans.attestation import issuing
from scans.sealing import KeyLost


class NoKey(APIException):
    """What to do stands in the log and in `doctor`: it names files of this server."""

    status_code = 503
    default_detail = "This installation's key is not there; its operator must see to it"
    wait = 60


class AttestationView(Door):
    @extend_schema(
        operation_id="get_attestation",
        summary="The signed verdict of a finished scan",
        description=attestation_examples.ATTESTATION,
        parameters=[examples.IF_NONE_MATCH],
        responses={200: EnvelopeSerializer, 304: None},
        examples=attestation_examples.ENVELOPES,
    )
    def get(self, request: Request, scan_id: uuid.UUID) -> HttpResponse:
        try:
            document = issuing.attest(scan_id)
        except KeyLost as error:
            raise NoKey from error
        return answer(request, document, is_final=True)


class AttestationKeyView(Door):
    authentication_classes = []
    permission_classes = []

    @extend_schema(
        operation_id="get_attestation_key",
        summary="The public key of this installation's attestations",
        parameters=[examples.IF_NONE_MATCH],
        responses={200: AttestationKeySerializer, 304: None},
        examples=attestation_examples.KEYS,
    )
    def get(self, request: Request) -> HttpResponse:
        try:
            document = issuing.public_key()
        except KeyLost as error:
            raise NoKey from error
        return answer(request, document, is_final=True)
