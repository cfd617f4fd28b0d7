"""Policies over HTTP."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from rest_framework.test import APIClient

from scans.gate import DEFAULT_DOCUMENT
from scans.models import Policy
from tests.scans.api_samples import pointers

pytestmark = pytest.mark.django_db
URL = "/api/v1/policies"
STRICT = {"severity_threshold": "low"}


def create(api: APIClient, name: str = "strict", document: Any = None) -> Any:
    body = {"name": name, "document": STRICT if document is None else document}
    return api.post(URL, body, format="json")


def put(api: APIClient, url: str, document: Any, **headers: str) -> Any:
    return api.put(url, {"document": document}, format="json", headers=headers)


def test_a_policy_is_made_looked_at_and_revised(
    api: APIClient, viewer_api: APIClient
) -> None:
    made = create(api)
    assert made.status_code == 201, made.content
    one = made["Location"]
    assert one == f"{URL}/strict"
    found = made.json()
    assert found == {
        "policy_id": found["policy_id"],
        "name": "strict",
        "version": 1,
        "document": STRICT,
        "created_at": found["created_at"],
        "created_by": "test-admin",
    }
    assert viewer_api.get(one).json() == found
    revised = put(api, one, {"only_new": True})
    assert revised.status_code == 200
    assert (revised.json()["version"], revised.json()["document"]) == (
        2,
        {"only_new": True},
    )
    assert viewer_api.get(one).json() == revised.json()
    assert viewer_api.get(f"{one}?version=1").json() == found
    versions = viewer_api.get(f"{one}/versions").json()
    assert versions == [revised.json(), found]
    assert viewer_api.get(f"{one}?version=3").status_code == 404
    assert viewer_api.get(f"{URL}/absent").status_code == 404
    assert viewer_api.get(f"{URL}/absent/versions").status_code == 404
    for odd in ("%00", "a%00b"):
        assert viewer_api.get(f"{URL}/{odd}").status_code == 404
        assert viewer_api.get(f"{URL}/{odd}/versions").status_code == 404
        assert put(api, f"{URL}/{odd}", STRICT).status_code == 404
        assert api.post(f"{URL}/{odd}/what-if", {}, format="json").status_code == 404
    assert put(api, f"{URL}/absent", STRICT).status_code == 404
    assert create(api).status_code == 409


def test_only_an_admin_writes(viewer_api: APIClient, scanner_api: APIClient) -> None:
    for client in (viewer_api, scanner_api):
        assert create(client).status_code == 403
        assert put(client, f"{URL}/default", STRICT).status_code == 403
        assert client.delete(f"{URL}/default").status_code == 405
    assert not Policy.objects.exists()


def test_the_list_has_the_newest_of_each_and_the_built_in(
    api: APIClient, viewer_api: APIClient
) -> None:
    assert viewer_api.get(f"{URL}/default").json()["document"] == DEFAULT_DOCUMENT
    create(api, "a")
    put(api, f"{URL}/a", {})
    create(api, "z")
    rows = viewer_api.get(URL).json()
    assert [(row["name"], row["version"]) for row in rows] == [
        ("a", 2),
        ("default", 1),
        ("z", 1),
    ]
    assert [row["name"] for row in viewer_api.get(f"{URL}?name=z").json()] == ["z"]
    page = viewer_api.get(f"{URL}?limit=2")
    after = page["Link"].partition(">")[0].lstrip("<")
    assert [row["name"] for row in viewer_api.get(after).json()] == ["z"]
    for name in ("a\x00", "a\ud800"):
        raw = json.dumps(["n", name, rows[0]["policy_id"]]).encode()
        cursor = base64.urlsafe_b64encode(raw).decode().rstrip("=")
        assert pointers(viewer_api.get(f"{URL}?cursor={cursor}")) == {"cursor"}
    assert pointers(viewer_api.get(f"{URL}?q=abc")) == {"q"}
    assert viewer_api.get(f"{URL}/default/versions").json() == [rows[1]]


def test_an_author_who_saw_an_older_version_is_412(api: APIClient) -> None:
    one = create(api)["Location"]
    seen = api.get(one)["ETag"]
    assert api.get(one, headers={"If-None-Match": seen}).status_code == 304
    first = put(api, one, {"only_new": True}, **{"If-Match": seen})
    assert first.status_code == 200
    assert first["ETag"] == api.get(one)["ETag"] != seen
    late = put(api, one, {}, **{"If-Match": seen})
    assert late.status_code == 412
    assert late["Content-Type"] == "application/problem+json"
    for tag in (f"W/{first['ETag']}", '"x"', "x"):
        assert put(api, one, {}, **{"If-Match": tag}).status_code == 412
    assert put(api, one, {}, **{"If-Match": f'"x", {first["ETag"]}'}).status_code == 200
    assert put(api, one, {}, **{"If-Match": "*"}).status_code == 200
    assert api.get(one).json()["version"] == 4


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, {"/name", "/document"}),
        ({"name": "p"}, {"/document"}),
        ({"name": "p", "document": None}, {"/document"}),
        ({"name": "p", "document": []}, {"/document"}),
        ({"name": "p", "document": "high"}, {"/document"}),
        ({"name": 5, "document": {}}, {"/name"}),
        ({"name": "a b", "document": {}}, {"/name"}),
        ({"name": " p", "document": {}}, {"/name"}),
        ({"name": "p", "document": {}, "version": 3}, {"/version"}),
        ({"name": "p", "document": {"x": 1}}, {"/document/x"}),
        ({"name": "p", "document": {"drift": {"x": 1}}}, {"/document/drift/x"}),
        (
            {"name": "p", "document": {"severity_threshold": "worst"}},
            {"/document/severity_threshold"},
        ),
    ],
)
def test_a_bad_body_is_named(api: APIClient, body: Any, named: set[str]) -> None:
    answer = api.post(URL, body, format="json")
    assert (answer.status_code, pointers(answer)) == (400, named)
    if named <= {"/document", "/document/x"}:
        body = {key: value for key, value in body.items() if key == "document"}
        answer = api.put(f"{URL}/default", body, format="json")
        assert (answer.status_code, pointers(answer)) == (400, named)


@pytest.mark.parametrize("query", ["version=0", "version=x", "version=1e9", "limit=1"])
def test_a_bad_parameter_is_named(api: APIClient, query: str) -> None:
    answer = api.get(f"{URL}/default?{query}")
    assert (answer.status_code, pointers(answer)) == (400, {query.partition("=")[0]})


def test_a_body_that_is_nested_without_end_is_400(api: APIClient) -> None:
    raw = '{"name": "p", "document": {"drift": ' + "[" * 5000 + "]" * 5000 + "}}"
    answer = api.post(URL, raw, content_type="application/json")
    assert answer.status_code == 400
