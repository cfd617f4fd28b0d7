"""`/metrics`: Prometheus or OpenMetrics, for those who may read it.

Two sources. What is true of the installation (scans, queue, verdicts, scanners) is read
from the database when somebody asks, so that it is the same at every replica and
nothing needs to be asked of the workers. What happened here, the requests, is counted
by the processes of this server together (`shared_counts`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from functools import cache
from ipaddress import ip_network

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from apikeys.addresses import is_direct_from
from apikeys.authentication import CHALLENGE, ApiKeyAuthentication, Unauthenticated
from sentrascan_project import figures
from sentrascan_project.problems import answer_to
from sentrascan_project.shared_counts import VARIABLE

logger = logging.getLogger(__name__)

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
THIS_MACHINE = (ip_network("127.0.0.0/8"), ip_network("::1"))
HTTP = CollectorRegistry()
# Held requests (Prefer: wait) take up to a minute, uploads as long as they take.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_seconds = Histogram(
    "sentrascan_http_request_duration_seconds",
    "Time until the answer of a request began.",
    ["route"],
    buckets=SECONDS,
    registry=HTTP,
)
_requests = Counter(
    "sentrascan_http_requests",
    "Requests answered.",
    ["method", "route", "status"],
    registry=HTTP,
)


class Installation(Collector):
    """What the database and the disk say now; one number where they cannot be asked."""

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            "sentrascan_database_up", "1 when the database answers, else 0."
        )
        try:
            found = list(figures.of_database())
        except (DatabaseError, InterfaceError) as error:
            reason = " ".join(str(error).split())
            logger.warning("Metrics without the database: %s", reason)
            found = []
        up.add_metric([], 1 if found else 0)
        yield from (up, *found, *figures.of_this_host())


def observe(request: HttpRequest, status: int, seconds: float) -> None:
    """Count one answered request under its route's template, never under its path."""
    route = _route(request)
    method = request.method if request.method in METHODS else "other"
    spent, asked = _counts(method, route, status)
    spent.observe(seconds)
    asked.inc()


@cache
def _counts(method: str, route: str, status: int) -> tuple[Histogram, Counter]:
    return _seconds.labels(route), _requests.labels(method, route, str(status))


def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with all numbers, in the format of `Accept`."""
    try:
        _check_may_read(request)
    except (APIException, DatabaseError, InterfaceError) as error:
        refused = answer_to(error, Request(request))
        if refused is None:
            raise
        if refused.status_code == 401:
            refused["WWW-Authenticate"] = CHALLENGE
        return refused
    encode, content_type = choose_encoder(request.META.get("HTTP_ACCEPT", ""))
    return HttpResponse(
        encode(_registry()), content_type, headers={"Cache-Control": "no-store"}
    )


def _check_may_read(request: HttpRequest) -> None:
    """Let in who presents a key, this machine and the allowed networks; or raise."""
    if ApiKeyAuthentication().authenticate(Request(request)):
        return
    if not is_direct_from(request, (*THIS_MACHINE, *settings.METRICS_ALLOW)):
        raise Unauthenticated


def _registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(Installation())
    if os.environ.get(VARIABLE):
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # untyped there
    else:
        registry.register(HTTP)
    return registry


def _route(request: HttpRequest) -> str:
    if match := request.resolver_match:
        return f"/{match.route}"
    return getattr(request, "probe", "unmatched")
