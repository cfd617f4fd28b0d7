"""The OpenAPI document, and whether the service keeps to it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from jsonschema import Draft202012Validator, FormatChecker
from rest_framework.test import APIClient

from scans.api import answers, target_answers
from scans.models import Finding, Scan, ScanDrift, Target, Worker
from sentrascan_project import schema
from tests.scans.api_samples import (
    DIGEST,
    make_finding,
    make_run,
    make_scan,
    remember,
)

pytestmark = pytest.mark.django_db
PUBLIC = {
    "/api/v1/attestation-key",
    "/api/v1/health",
    "/api/v1/report-schema",
}
DECLARED = (answers, target_answers)
METHODS = ("get", "post", "put", "patch", "delete")
CHANGE = {
    "kind": "changed",
    "nature": "schema_widened",
    "element": "tools/add",
    "path": "/inputSchema/properties/note",
    "before": None,
    "after": {"type": "string"},
    "severity": "high",
}
ROUTES = """
GET /health
POST /scans
GET /scans
GET /scans/{scan_id}
DELETE /scans/{scan_id}
GET /scans/{scan_id}/findings
GET /scans/{scan_id}/drift
GET /scans/{scan_id}/events
POST /scans/{scan_id}/cancel
POST /scans/{scan_id}/rescan
GET /scans/{scan_id}/report.json
GET /scans/{scan_id}/report.sarif
GET /scans/{scan_id}/report.csv
GET /scans/{scan_id}/report.html
GET /scans/{scan_id}/report.xml
GET /scans/{scan_id}/report.defectdojo.json
GET /scans/{scan_id}/sbom
GET /report-schema
GET /scans/{scan_id}/attestation
GET /attestation-key
GET /findings
GET /findings/{finding_id}
GET /baselines
POST /baselines
GET /baselines/{baseline_id}
DELETE /baselines/{baseline_id}
POST /baselines/{baseline_id}/approve
POST /baselines/{baseline_id}/retire
POST /baselines/compare
GET /targets
GET /targets/{target_id}
GET /targets/{target_id}/history
GET /targets/{target_id}/findings
GET /policies
POST /policies
GET /policies/{name}
PUT /policies/{name}
GET /policies/{name}/versions
POST /policies/{name}/what-if
GET /policy-defaults
POST /policy-defaults
GET /policy-defaults/{default_id}
DELETE /policy-defaults/{default_id}
GET /waivers
POST /waivers
GET /waivers/{waiver_id}
DELETE /waivers/{waiver_id}
GET /scanners
GET /verdicts/sha256:{digest}
GET /api-keys
POST /api-keys
POST /api-keys/{key_id}/revoke
POST /api-keys/{key_id}/rotate
GET /audit-events
"""


@pytest.fixture
def document(client: Client) -> dict[str, Any]:
    answer = client.get("/api/v1/schema")
    assert answer.status_code == 200
    return answer.json()


def test_it_is_valid_and_made_without_a_warning(tmp_path: Any) -> None:
    schema.document.cache_clear()
    call_command(
        "spectacular",
        "--validate",
        "--fail-on-warn",
        format="openapi-json",
        file=str(tmp_path / "schema.json"),
    )
    assert not GENERATOR_STATS
    told = json.loads((tmp_path / "schema.json").read_text())
    assert told["openapi"] == "3.1.0"


def test_it_names_every_route_of_this_step(document: dict[str, Any]) -> None:
    told = {
        (method.upper(), path.removeprefix("/api/v1"))
        for path, operations in document["paths"].items()
        for method in operations
        if method in METHODS
    }
    for line in ROUTES.strip().splitlines():
        assert tuple(line.split()) in told


def test_every_operation_says_what_can_go_wrong(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method not in operations:
                continue
            told = operations[method]["responses"]
            assert {"400", "401", "500", "503"} <= set(told), (path, method)
            content = told["400"]["content"]
            assert list(content) == ["application/problem+json"]
            if path not in PUBLIC:
                assert {"403", "429"} <= set(told), (path, method)
                assert {"ApiKey": []} in operations[method]["security"]
            if method == "post":
                names = {p["name"] for p in operations[method]["parameters"]}
                assert "Idempotency-Key" in names


# Bytes, or too little to be shown.
WITHOUT_EXAMPLE = {"/api/v1/health"}


def test_every_answer_has_an_example_that_keeps_to_its_schema(
    document: dict[str, Any],
) -> None:
    for path, operations in document["paths"].items():
        for method in METHODS:
            for status, answer in (
                operations.get(method, {}).get("responses", {}).items()
            ):
                content = answer.get("content", {}).get("application/json")
                if content is None or not status.startswith("2"):
                    continue
                examples = content.get("examples", {})
                assert examples or path in WITHOUT_EXAMPLE, (method, path)
                for example in examples.values():
                    if "/report." not in path:  # shortened, as their text says
                        keeps_to(document, content["schema"], example["value"])


def test_submitting_is_described_as_json_and_as_a_form(
    document: dict[str, Any],
) -> None:
    post = document["paths"]["/api/v1/scans"]["post"]
    content = post["requestBody"]["content"]
    assert set(content) == {"application/json", "multipart/form-data"}
    assert len(content["application/json"]["examples"]) == 4
    assert "202" in post["responses"]
    assert "Location" in post["responses"]["202"]["headers"]
    names = [p["name"] for p in document["paths"]["/api/v1/scans"]["get"]["parameters"]]
    filters = "scan_type scan_status verdict passed target q severity created_after "
    paging = "created_before limit cursor offset"
    assert sorted(names) == sorted((filters + paging).split())


def check(document: dict[str, Any], path: str, answer: Any) -> None:
    """Compare an answer with the schema: no type, key or value of its own."""
    operation = document["paths"][path]["get"]
    told = operation["responses"][str(answer.status_code)]["content"]
    (content,) = [c for media, c in told.items() if media in answer["Content-Type"]]
    keeps_to(document, content["schema"], answer.json())


def keeps_to(document: dict[str, Any], shape: dict[str, Any], value: Any) -> None:
    strict = json.loads(json.dumps(document["components"]))
    for name, component in strict["schemas"].items():
        if component.get("type") == "object" and name != "Problem":
            component["additionalProperties"] = False
        if any(hasattr(each, f"{name}Serializer") for each in DECLARED):
            assert set(component["required"]) == set(component["properties"])
    whole = {**shape, "components": strict}
    Draft202012Validator(whole, format_checker=FormatChecker()).validate(value)


def paths_of(scan: Scan, finding: Finding) -> dict[str, str]:
    """Return path of the schema -> path of an answer."""
    target = scan.target_record_id
    return {
        "/scans": "/scans",
        "/scans/{scan_id}": f"/scans/{scan.pk}",
        "/scans/{scan_id}/findings": f"/scans/{scan.pk}/findings",
        "/scans/{scan_id}/drift": f"/scans/{scan.pk}/drift",
        "/findings": "/findings",
        "/findings/{finding_id}": f"/findings/{finding.pk}",
        "/baselines": "/baselines",
        "/targets": "/targets",
        "/targets/{target_id}": f"/targets/{target}",
        "/targets/{target_id}/history": f"/targets/{target}/history",
        "/targets/{target_id}/findings": f"/targets/{target}/findings",
        "/policies": "/policies",
        "/policies/{name}": "/policies/default",
        "/policies/{name}/versions": "/policies/default/versions",
        "/waivers": "/waivers",
        "/scanners": "/scanners",
        "/verdicts/sha256:{digest}": f"/verdicts/sha256:{DIGEST}",
        "/health": "/health",
    }


def test_answers_keep_to_the_schema(document: dict[str, Any], api: APIClient) -> None:
    target = Target.objects.create(scan_type="model", name="model.pkl")
    scan = make_scan(
        digest=DIGEST, labels={"a": "b"}, reasons=["r"], target_record=target
    )
    Target.objects.update(last_scan_id=scan.pk)
    remember(target)
    make_run(scan, error="x", coverage={"skipped": [{"path": "a", "reason": "b"}]})
    finding = make_finding(scan)
    make_scan(scan_status="queued")
    scan.snapshot.elements = [{"path": "a", "size": 1, "digest": DIGEST}]
    scan.snapshot.save()
    ScanDrift.objects.create(scan=scan, baseline_id=scan.pk, changes=[CHANGE])
    body = {"scan_id": str(scan.pk), "name": "n"}
    baseline = api.post("/api/v1/baselines", body, format="json")["Location"]
    risk = {"fingerprint": finding.fingerprint, "reason": "r"}
    risk |= {"expires_at": "2999-01-01T00:00:00Z"}
    waiver = api.post("/api/v1/waivers", risk, format="json")["Location"]
    Worker.objects.create(
        name="w", scanners={"modelaudit": {"status": "available", "version": "1"}}
    )
    paths = paths_of(scan, finding)
    paths |= {
        "/baselines/{baseline_id}": baseline.removeprefix("/api/v1"),
        "/waivers/{waiver_id}": waiver.removeprefix("/api/v1"),
    }
    for path, url in paths.items():
        answer = api.get(f"/api/v1{url}")
        assert answer.status_code == 200
        check(document, f"/api/v1{path}", answer)
    check(document, "/api/v1/scans", api.get("/api/v1/scans?x=1"))


WITH_EXAMPLES = """
/scans/{scan_id}/findings /findings /findings/{finding_id} /scans/{scan_id}/drift
/scans/{scan_id}/attestation /attestation-key /baselines /baselines/{baseline_id}
/policies /policies/{name} /policies/{name}/versions /waivers /waivers/{waiver_id}
/policy-defaults /policy-defaults/{default_id} /verdicts/sha256:{digest}
"""


def test_answers_about_findings_have_examples_that_fit(
    document: dict[str, Any],
) -> None:
    components = {"components": document["components"]}
    seen = set()
    for path, operations in document["paths"].items():
        for method in METHODS:
            told = operations.get(method, {}).get("responses", {})
            for status in {"200", "201"} & set(told):
                content = told[status].get("content", {}).get("application/json", {})
                for example in content.get("examples", {}).values():
                    validator = Draft202012Validator(content["schema"] | components)
                    validator.validate(example["value"])
                    seen.add((method, path.removeprefix("/api/v1")))
    assert {("get", path) for path in WITH_EXAMPLES.split()} <= seen
    for path in ("/baselines", "/policies", "/waivers", "/policy-defaults"):
        assert ("post", path) in seen
    assert ("post", "/policies/{name}/what-if") in seen


def test_the_schema_can_be_asked_for_by_its_own_type(client: Client) -> None:
    media = "application/vnd.oai.openapi+json"
    answer = client.get("/api/v1/schema", headers={"Accept": media})
    assert answer["Content-Type"] == media
    assert client.get("/api/v1/schema?format=json").status_code == 400


def test_the_page_needs_no_other_host_and_keeps_its_policy(client: Client) -> None:
    answer = client.get("/api/v1/docs")
    page = answer.content.decode()
    assert answer.status_code == 200
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", page)
    nonce = re.search(r"'nonce-([^']+)'", answer["Content-Security-Policy"])[1]
    assert "unsafe" not in answer["Content-Security-Policy"]
    tags = re.findall(r"<(?:script|style)[^>]*>", page)
    assert len(tags) == 3
    assert all(f' nonce="{nonce}"' in tag for tag in tags)
    assert not re.findall(r"\son\w+=|\sstyle=", page)
    for asset in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
        assert client.get(asset).status_code == 200, asset
