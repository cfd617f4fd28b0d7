"""Baselines over HTTP."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from rest_framework.test import APIClient

from scans.choices import ScanStatus
from scans.models import Baseline
from tests.scans.api_samples import make_scan, pointers

pytestmark = pytest.mark.django_db
URL = "/api/v1/baselines"


def create(api: APIClient, scan: Any, **more: Any) -> Any:
    body = {"scan_id": str(scan.pk), "name": "first"} | more
    return api.post(URL, body, format="json")


def test_a_baseline_is_made_inactive_and_then_approved(
    api: APIClient, viewer_api: APIClient
) -> None:
    answer = create(api, make_scan(), description="what we shipped")
    assert answer.status_code == 201, answer.content
    found = answer.json()
    names = (
        "baseline_id scan_id scan_type target name description status is_active digest "
        "created_at created_by approved_at approved_by retired_at retired_by elements"
    )
    assert set(found) == set(names.split())
    assert (found["status"], found["is_active"]) == ("proposed", False)
    element = {"path": "model.pkl", "size": 3, "definition": None}
    assert found["elements"] == [element]
    assert found["created_by"] == "test-admin"
    one = answer["Location"]
    assert one == f"{URL}/{found['baseline_id']}"
    assert viewer_api.get(one).json() == found
    approved = api.post(f"{one}/approve")
    assert approved.status_code == 200
    assert approved.json()["is_active"] is True
    assert api.post(f"{one}/approve").status_code == 409
    assert viewer_api.post(f"{one}/approve").status_code == 403
    assert api.post(f"{one}/retire").json()["status"] == "retired"
    assert api.post(f"{one}/retire").status_code == 409
    assert api.delete(one).status_code == 204
    assert api.delete(one).status_code == 404
    assert api.get(one).status_code == 404
    assert api.post(f"{one}/approve").status_code == 404


def test_approving_retires_the_one_before(api: APIClient) -> None:
    ones = [create(api, make_scan())["Location"] for _ in range(2)]
    for one in ones:
        assert api.post(f"{one}/approve").status_code == 200
    states = [api.get(one).json()["status"] for one in ones]
    assert states == ["retired", "active"]


@pytest.mark.parametrize("status", [ScanStatus.RUNNING, ScanStatus.FAILED])
def test_a_scan_that_is_not_completed_is_409(api: APIClient, status: str) -> None:
    answer = create(api, make_scan(scan_status=status))
    assert answer.status_code == 409
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, {"/scan_id", "/name"}),
        ({"scan_id": "x", "name": "n"}, {"/scan_id"}),
        ({"scan_id": 5, "name": "n"}, {"/scan_id"}),
        ({"scan_id": None, "name": "n"}, {"/scan_id"}),
        ({"scan_id": str(uuid.uuid4()), "name": 7}, {"/name"}),
        ({"scan_id": str(uuid.uuid4()), "name": ""}, {"/name"}),
        ({"scan_id": str(uuid.uuid4()), "name": "x" * 201}, {"/name"}),
        ({"scan_id": str(uuid.uuid4()), "name": "n", "active": True}, {"/active"}),
        (
            {"scan_id": str(uuid.uuid4()), "name": "n", "description": 1},
            {"/description"},
        ),
    ],
)
def test_a_bad_body_is_named(api: APIClient, body: Any, named: set[str]) -> None:
    answer = api.post(URL, body, format="json")
    assert (answer.status_code, pointers(answer)) == (400, named)
    assert not Baseline.objects.exists()


def test_an_unknown_scan_is_404(api: APIClient) -> None:
    body = {"scan_id": str(uuid.uuid4()), "name": "n"}
    assert api.post(URL, body, format="json").status_code == 404


def test_the_list_filters_and_reads_no_snapshot(
    api: APIClient, django_assert_num_queries
) -> None:
    for target in ("a", "b"):
        create(api, make_scan(target=target))
    with django_assert_num_queries(2) as queries:
        found = api.get(f"{URL}?target=b&status=proposed&scan_type=model").json()
    assert [row["target"] for row in found] == ["b"]
    assert "elements" not in found[0]
    assert all("snapshot" not in query["sql"] for query in queries.captured_queries)
    assert api.get(f"{URL}?status=active").json() == []
    for part in ("FIR", "rel"):
        Baseline.objects.filter(target="a").update(target="prelim")
        assert len(api.get(f"{URL}?q={part}").json()) == (2 if part == "FIR" else 1)
    (one,) = api.get(f"{URL}?scan_id={found[0]['scan_id']}").json()
    assert one == found[0]
    assert pointers(api.get(f"{URL}?scan_id=1")) == {"scan_id"}
    assert pointers(api.get(f"{URL}?status=old")) == {"status"}
    assert pointers(api.get(f"{URL}?name=x")) == {"name"}
