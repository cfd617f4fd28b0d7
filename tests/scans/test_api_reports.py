"""The reports of the API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rest_framework.test import APIClient

from scans.exports.forms import REPORTS, Form
from scans.exports.json_report import SCHEMA
from tests.scans.api_samples import make_scan
from tests.scans.export_samples import failed_scan, written

pytestmark = pytest.mark.django_db
PATHS = {
    "report.json": "application/json",
    "report.sarif": "application/sarif+json",
    "report.csv": "text/csv",
    "report.html": "text/html",
    "report.xml": "application/xml",
    "report.defectdojo.json": "application/json",
}


def body_of(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


@pytest.mark.parametrize("form", REPORTS.values(), ids=REPORTS)
def test_a_viewer_has_each_report_of_a_finished_scan(
    viewer_api: APIClient, form: Form
) -> None:
    scan = failed_scan()
    answer = viewer_api.get(f"/api/v1/scans/{scan.pk}/report.{form.suffix}")
    assert answer.status_code == 200
    assert body_of(answer) == written(form, scan)
    assert answer["Content-Type"].startswith(PATHS[f"report.{form.suffix}"])
    name = f"sentrascan-models-{scan.pk.hex[-8:]}.{form.suffix}"
    assert answer["Content-Disposition"] == f'attachment; filename="{name}"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cache-Control"] == "private, no-cache"


def test_every_report_is_routed() -> None:
    assert {f"report.{form.suffix}" for form in REPORTS.values()} == set(PATHS)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("status", ["queued", "running"])
def test_an_unfinished_scan_has_no_report(
    viewer_api: APIClient, path: str, status: str
) -> None:
    scan = make_scan(scan_status=status)
    answer = viewer_api.get(f"/api/v1/scans/{scan.pk}/{path}")
    assert answer.status_code == 409
    assert answer["Content-Type"] == "application/problem+json"
    assert status in answer.json()["detail"]


@pytest.mark.parametrize("path", PATHS)
def test_a_known_etag_is_answered_304_and_head_without_a_body(
    viewer_api: APIClient, path: str
) -> None:
    url = f"/api/v1/scans/{failed_scan().pk}/{path}"
    etag = viewer_api.get(url)["ETag"]
    assert etag.startswith('"')
    again = viewer_api.get(url, headers={"If-None-Match": etag})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", etag)
    head = viewer_api.head(url)
    assert (head.status_code, head.content, head["ETag"]) == (200, b"", etag)
    assert viewer_api.get(url, headers={"If-None-Match": '"x"'}).status_code == 200


@pytest.mark.parametrize("path", PATHS)
def test_it_refuses_as_the_rest_of_the_api_does(
    viewer_api: APIClient, anonymous_api: APIClient, path: str
) -> None:
    url = f"/api/v1/scans/{failed_scan().pk}/{path}"
    assert anonymous_api.get(url).status_code == 401
    assert viewer_api.get(f"{url}?x=1").status_code == 400
    assert viewer_api.get(url, headers={"Accept": "image/png"}).status_code == 406
    assert viewer_api.get(url, headers={"Accept": PATHS[path]}).status_code == 200
    assert viewer_api.post(url, {}).status_code == 405
    nowhere = f"/api/v1/scans/019ab1c2-d3e4-7000-8000-0123456789ab/{path}"
    assert viewer_api.get(nowhere).status_code == 404
    unknown = url.replace(path, "report.docx")
    assert viewer_api.get(unknown).status_code == 404


def test_the_schema_of_the_json_report_needs_no_key(anonymous_api: APIClient) -> None:
    answer = anonymous_api.get("/api/v1/report-schema")
    assert answer["Content-Type"] == "application/schema+json"
    assert answer.json() == json.loads(SCHEMA.read_text())
