"""Failures below /api/ are problem documents, whatever raised them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.test import Client, RequestFactory
from rest_framework.test import APIClient

from scans import tasks
from scans.models import Scan
from sentrascan_project.api import server_failure
from sentrascan_project.paging import Order
from tests.scans.api_samples import TOOLS

pytestmark = pytest.mark.django_db
SCANS = "/api/v1/scans"
MEMBERS = {"type", "title", "status", "detail", "instance", "errors", "request_id"}


def problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == MEMBERS
    assert body["status"] == status
    assert body["request_id"] == answer["X-Request-ID"]
    assert "?" not in body["instance"]
    return body


@pytest.mark.parametrize(
    "path", ["/api/", "/api/v2/scans", "/api/v1/scan", f"{SCANS}/x"]
)
@pytest.mark.parametrize("method", ["get", "post", "delete", "head", "options"])
def test_an_unknown_route_is_a_404_problem(path: str, method: str) -> None:
    answer = getattr(Client(enforce_csrf_checks=True), method)(path)
    if method == "head":
        assert answer.status_code == 404
    else:
        problem(answer, 404)


def test_elsewhere_an_unknown_route_is_a_page(client: Client) -> None:
    answer = client.get("/nothing-here")
    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("put", SCANS, {"GET", "HEAD", "POST", "OPTIONS"}),
        ("delete", SCANS, {"GET", "HEAD", "POST", "OPTIONS"}),
        ("post", "/api/v1/health", {"GET", "HEAD", "OPTIONS"}),
        ("post", "/api/v1/docs", {"GET", "HEAD"}),
        ("patch", "/api/v1/scanners", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_wrong_method_is_405_with_allow(
    api: APIClient, method: str, path: str, allowed: set[str]
) -> None:
    answer = getattr(api, method)(path)
    problem(answer, 405)
    assert set(answer["Allow"].split(", ")) == allowed


def test_a_method_nobody_knows_is_405(api: APIClient) -> None:
    problem(api.generic("BREW", SCANS), 405)


@pytest.mark.parametrize(
    "accepts", ["*/*", "application/json", "application/*;q=0.5", "text/html, */*"]
)
def test_json_is_what_anything_accepts(api: APIClient, accepts: str) -> None:
    plain = api.get(SCANS)
    answer = api.get(SCANS, headers={"Accept": accepts})
    assert (answer.status_code, answer.content) == (200, plain.content)
    assert answer["Content-Type"] == plain["Content-Type"] == "application/json"


def test_what_cannot_be_answered_is_406(api: APIClient) -> None:
    problem(api.get(SCANS, headers={"Accept": "text/html"}), 406)


def test_options_says_what_is_allowed(viewer_api: APIClient) -> None:
    answer = viewer_api.options(SCANS)
    assert answer.status_code == 200
    assert "POST" in answer["Allow"]


def test_without_a_key_it_is_401_with_a_challenge(anonymous_api: APIClient) -> None:
    body = problem(anonymous_api.get(SCANS), 401)
    wrong = anonymous_api.get(SCANS, headers={"X-API-Key": "ssk_bad"})
    assert problem(wrong, 401)["detail"] == body["detail"]
    assert wrong["WWW-Authenticate"] == 'Bearer realm="sentrascan"'


def test_too_small_a_role_is_403_and_counted(viewer_api: APIClient) -> None:
    answer = viewer_api.post(SCANS, {}, format="json")
    problem(answer, 403)
    assert answer["RateLimit"]


def test_a_body_without_a_length_is_411(scanner_api: APIClient) -> None:
    answer = scanner_api.generic(
        "POST", SCANS, b"", "application/json", HTTP_TRANSFER_ENCODING="chunked"
    )
    problem(answer, 411)


def test_a_host_we_do_not_answer_for_is_400(api: APIClient) -> None:
    answer = api.get(SCANS, headers={"Host": "evil.example"})
    problem(answer, 400)
    assert "evil" not in answer.content.decode()


def test_a_fault_of_ours_is_a_500_that_tells_nothing(
    api: APIClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from scans.api.views import scanners

    monkeypatch.setattr(scanners, "SCANNERS", {"x": "not a scanner"})
    api.raise_request_exception = False
    body = problem(api.get("/api/v1/scanners"), 500)
    assert body["detail"] == "Internal Server Error"
    records = [r for r in caplog.records if r.name == "django.request"]
    assert records
    assert records[0].exc_info
    assert records[0].levelname == "ERROR"


def test_a_refusal_is_no_line_of_its_own(
    viewer_api: APIClient, caplog: pytest.LogCaptureFixture
) -> None:
    viewer_api.get(f"{SCANS}?x=1")
    viewer_api.get("/api/v1/nothing")
    with database_away():
        viewer_api.get(SCANS)
    assert not [r for r in caplog.records if r.name == "django.request"]


def test_answers_are_private_and_not_reused_unasked(api: APIClient) -> None:
    assert api.get(SCANS)["Cache-Control"] == "private, no-cache"
    created = api.post(
        "/api/v1/api-keys", {"name": "n", "role": "viewer"}, format="json"
    )
    assert created.status_code == 201, created.content
    assert "no-store" in created["Cache-Control"]


@pytest.mark.parametrize("path", ["/api/v1/api-keys", "/api/v1/audit-events"])
def test_the_other_lists_are_paged_too(api: APIClient, path: str) -> None:
    for name in ("a", "b"):
        body = {"name": name, "role": "viewer"}
        api.post("/api/v1/api-keys", body, format="json")
    page = api.get(f"{path}?limit=1")
    assert page.status_code == 200, page.content
    assert int(page["X-Total-Count"]) >= 2
    following = page["Link"].partition(">")[0].lstrip("<")
    assert api.get(following).json() != page.json()
    problem(api.get(f"{path}?colour=red"), 400)


def test_a_list_must_be_ordered_by_two_columns() -> None:
    with pytest.raises(TypeError):
        Order.of(Scan.objects.order_by("created_at"))


@contextmanager
def database_away() -> Iterator[None]:
    """Let every way to the database fail as it does when its server has gone."""

    def cursor(*args: Any, **kwargs: Any) -> Any:
        raise OperationalError("connection refused: host=db password=hidden")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections["default"], "cursor", cursor)
        yield


def test_without_the_database_it_is_503(
    api: APIClient, caplog: pytest.LogCaptureFixture
) -> None:
    with database_away():
        answer = api.get(SCANS)
    body = problem(answer, 503)
    assert int(answer["Retry-After"]) > 0
    assert "host=db" not in answer.content.decode()
    assert body["detail"]
    assert any(record.levelname == "ERROR" for record in caplog.records)


@pytest.mark.django_db(transaction=True)
def test_a_database_that_goes_away_in_the_middle_is_503_and_not_500(
    api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = ExitStack()
    # After the commit: what is still to be read and noted cannot be.
    monkeypatch.setattr(
        tasks, "announce", lambda scan_id: gone.enter_context(database_away())
    )
    api.raise_request_exception = False
    with gone:
        answer = api.post(
            SCANS,
            {"scan_type": "mcp", "tools": TOOLS},
            format="json",
            headers={"Idempotency-Key": "k"},
        )
    # Either it is told that it was taken, or to come again: both are true.
    assert answer.status_code in {202, 503}, answer.content
    assert answer["Retry-After"]


def test_what_middleware_meets_of_an_absent_database_is_503_too(
    rf: RequestFactory,
) -> None:
    try:
        raise OperationalError("connection refused: host=db")
    except OperationalError:
        answer = server_failure(rf.get(SCANS))
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert answer["Content-Type"] == "application/problem+json"
    assert b"host=db" not in answer.content
    assert server_failure(rf.get(SCANS)).status_code == 500
