"""`/livez`, `/readyz` and `/metrics`: asked by machines, by whatever name or address.

They are answered before anything looks at the host: orchestrators and Prometheus
connect to an address that no setting names, and follow no redirect to https.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase

from sentrascan_project.health import livez
from sentrascan_project.metrics import metrics
from sentrascan_project.readiness import readyz

PROBES: dict[str, Callable[[HttpRequest], HttpResponse]] = {
    "/livez": livez,
    "/readyz": readyz,
    "/metrics": metrics,
}


class ProbesMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        probe = PROBES.get(request.path)
        if probe is None:
            return self.get_response(request)
        request.probe = request.path  # type: ignore[attr-defined]  # ours
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        return probe(request)
