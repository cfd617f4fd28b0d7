"""The real routes, and a POST whose work can be counted, held up and made to fail."""

from __future__ import annotations

import threading

from django.db import transaction
from django.urls import path
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys.api.idempotency import IdempotentPostMixin
from apikeys.audit import record
from apikeys.authentication import actor_of
from sentrascan_project import urls

at_work = threading.Event()
may_go_on = threading.Event()


class ProbeView(IdempotentPostMixin, APIView):
    role_for = {"GET": "viewer", "POST": "scanner"}

    def get(self, request):
        return Response({"name": actor_of(request).name})

    def post(self, request):
        with transaction.atomic():
            event = record(
                "probe.work",
                actor=actor_of(request),
                object_type="probe",
                object_id="1",
                request=request,
            )
            kind = request.data.get("do")
            if kind == "break":
                raise RuntimeError("planted")
            if kind == "refuse":
                raise ValidationError({"do": ["refused"]})
        if kind == "unavailable":
            return Response({}, status=503)
        if kind == "hold":
            at_work.set()
            assert may_go_on.wait(30)
        return Response({"id": str(event.id)}, status=202, headers={"Location": "/x/1"})


class FingerprintView(ProbeView):
    """Takes bodies that differ as one request."""

    def idempotency_fingerprint(self, request):
        return "the same"


class UndeclaredView(APIView):
    """Says nothing about roles."""

    def get(self, request):
        return Response({})


urlpatterns = [
    *urls.urlpatterns,
    path("probe", ProbeView.as_view()),
    path("fingerprint", FingerprintView.as_view()),
    path("undeclared", UndeclaredView.as_view()),
]
