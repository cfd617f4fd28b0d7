"""What every request gets: an id, a checked trace context, one log line."""

from __future__ import annotations

import logging
import os
import select

import psycopg
import pytest
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from rest_framework.test import APIClient

from apikeys.models import AuditEvent
from scans.models import ScanDetail
from sentrascan_project.middleware import (
    DOCS,
    LiveConnectionMiddleware,
    PageMessageMiddleware,
    PageSessionMiddleware,
    PageUserMiddleware,
)
from tests.scans.api_samples import TOOLS

pytestmark = pytest.mark.django_db
URL = "/livez"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("given", ["abc-1.2_3", "A", "x" * 64])
def test_a_plain_id_of_the_client_is_kept(client: Client, given: str) -> None:
    assert client.get(URL, headers={"X-Request-ID": given})["X-Request-ID"] == given


@pytest.mark.parametrize(
    "given", ["", "x" * 65, "a b", "a\nb", "é", "<b>", "-x", "a;b"]
)
def test_any_other_is_replaced(client: Client, given: str) -> None:
    answer = client.get(URL, headers={"X-Request-ID": given})
    assert answer["X-Request-ID"] != given
    assert len(answer["X-Request-ID"]) == 32


def test_every_answer_has_an_id_of_its_own(client: Client) -> None:
    ids = {client.get(path)["X-Request-ID"] for path in (URL, "/nope", "/api/nope")}
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (TRACE, TRACE),
        (TRACE.upper(), ""),
        (TRACE + "-more", ""),
        ("ff" + TRACE[2:], ""),
        (TRACE.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32), ""),
        (TRACE.replace("b7ad6b7169203331", "0" * 16), ""),
        ("x" * 5000, ""),
    ],
)
def test_only_a_well_formed_trace_reaches_the_scan(
    scanner_api: APIClient, given: str, kept: str
) -> None:
    answer = scanner_api.post(
        "/api/v1/scans",
        {"scan_type": "mcp", "tools": TOOLS},
        format="json",
        headers={"traceparent": given, "X-Request-ID": "mine"},
    )
    assert answer.status_code == 202, answer.content
    assert ScanDetail.objects.get().traceparent == kept
    assert AuditEvent.objects.latest("id").request_id == "mine"


def test_a_log_line_has_no_query_and_no_key(
    viewer_api: APIClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    viewer_api.get("/api/v1/scans?q=secretive", headers={"traceparent": TRACE})
    lines = [r for r in caplog.records if r.name == "sentrascan.request"]
    assert [line.path for line in lines] == ["/api/v1/scans"]
    assert lines[0].status == 200
    assert lines[0].trace_id == TRACE.split("-")[1]
    ours = [r for r in caplog.records if not r.name.startswith("django.db")]
    told = " ".join(f"{r.getMessage()} {vars(r)}" for r in ours)
    assert "secretive" not in told
    assert "ssk_" not in told


def test_probes_are_not_logged(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client.get("/api/v1/health")
    assert not [r for r in caplog.records if r.name == "sentrascan.request"]


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_the_server_ended_is_replaced_before_it_is_used() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no server")
    passed_on = LiveConnectionMiddleware(lambda request: answer_with(ask_database()))
    connection.close()
    first = int(passed_on(HttpRequest()).content)
    connection.health_check_done = False  # as the start of a request does
    with psycopg.connect(os.environ["DATABASE_URL"], dbname="postgres") as other:
        other.execute("SELECT pg_terminate_backend(%s)", [first])
    wait_until_readable(connection.connection.fileno())
    second = int(passed_on(HttpRequest()).content)
    assert second != first


@pytest.mark.django_db(transaction=True)
def test_a_living_connection_is_not_asked() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no server")
    connection.ensure_connection()
    connection.health_check_done = False
    LiveConnectionMiddleware(lambda request: HttpResponse())(HttpRequest())
    # Django asks its own question only where this is unset.
    assert connection.health_check_done


def ask_database() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


def answer_with(number: int) -> HttpResponse:
    return HttpResponse(str(number))


def wait_until_readable(socket: int) -> None:
    assert select.select([socket], [], [], 10)[0]


@pytest.mark.parametrize(
    ("path", "sets"),
    [("/api/v1/scans", False), ("/api/nope", False), (DOCS, True), ("/", True)],
)
def test_sessions_users_and_messages_are_of_pages_alone(
    rf: RequestFactory, path: str, sets: bool
) -> None:
    seen: list[HttpRequest] = []

    def answered(request: HttpRequest) -> HttpResponse:
        seen.append(request)
        return HttpResponse()

    inner = PageUserMiddleware(PageMessageMiddleware(answered))
    PageSessionMiddleware(inner)(rf.get(path))
    names = ("session", "user", "_messages")
    assert [hasattr(seen[0], name) for name in names] == [sets] * 3


def test_who_is_signed_in_to_the_pages_is_nobody_to_the_api(
    admin_client: Client,
) -> None:
    assert admin_client.get("/").status_code == 200
    answer = admin_client.get("/api/v1/scans")
    assert answer.status_code == 401
    assert "Cookie" not in answer.headers.get("Vary", "")
