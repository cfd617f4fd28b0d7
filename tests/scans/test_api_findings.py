"""Findings over HTTP: of one scan, and across scans."""

from __future__ import annotations

import uuid

import pytest
from rest_framework.test import APIClient

from scanners.contract import Category, Severity
from scans.exports.shapes import FINDINGS
from tests.scans.api_samples import make_finding, make_scan, pointers

pytestmark = pytest.mark.django_db
URL = "/api/v1/findings"


def rules(answer) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [finding["rule"].partition(":")[2] for finding in answer.json()]


def test_a_finding_has_every_field_of_the_contract(viewer_api: APIClient) -> None:
    scan = make_scan()
    finding = make_finding(scan, evidence={"opcode": "REDUCE", "count": 10**30})
    names = (
        "finding_id scan_id scanner rule severity category title description location "
        "evidence remediation cwe owasp_llm owasp_mcp atlas fingerprint is_new waived "
        "waiver_id created_at"
    )
    for url in (f"/api/v1/scans/{scan.pk}/findings", URL):
        found = viewer_api.get(url).json()[0]
        assert set(found) == set(names.split())
        assert found["finding_id"] == str(finding.pk)
        assert found["scan_id"] == str(scan.pk)
        assert found["severity"] == "critical"
        assert found["location"] == {
            "path": "model.pkl",
            "member": None,
            "line": None,
            "byte_offset": 7,
            "server": None,
            "tool": None,
        }
        assert found["evidence"]["count"] == 10**30
        assert (found["cwe"], found["atlas"]) == (["CWE-502"], [])
        assert (found["waived"], found["waiver_id"]) == (False, None)
        assert found["created_at"] == "2026-01-01T00:00:00Z"
    assert viewer_api.get(f"{URL}/{finding.pk}").json() == found
    assert viewer_api.get(f"{URL}/{uuid.uuid4()}").status_code == 404


def test_findings_of_a_scan_come_worst_first_in_pages(viewer_api: APIClient) -> None:
    scan, other = make_scan(), make_scan()
    order = [Severity.LOW, Severity.CRITICAL, Severity.MEDIUM, Severity.CRITICAL]
    for number, severity in enumerate(order):
        make_finding(
            scan, number, severity=severity, rule=f"modelaudit:{severity.name}"
        )
    make_finding(other)
    url = f"/api/v1/scans/{scan.pk}/findings"
    worst = ["CRITICAL", "CRITICAL", "MEDIUM", "LOW"]
    assert rules(viewer_api.get(url)) == worst
    seen, page = [], viewer_api.get(f"{url}?limit=1")
    for _ in range(4):
        seen += rules(page)
        last, target = page, page.get("Link", "")
        if 'rel="next"' not in target:
            break
        page = viewer_api.get(target.partition(">")[0].lstrip("<"))
    assert seen == worst
    assert last["X-Total-Count"] == "4"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["B2", "A1"]),
        ("severity=low", ["A1"]),
        ("scanner=cisco-scanner", ["B2"]),
        ("category=other", ["A1"]),
        ("rule=modelaudit:A1", ["A1"]),
        ("q=poison", ["B2"]),
        ("q=audit:a", ["A1"]),
        ("waived=false", ["B2", "A1"]),
        ("waived=true", []),
    ],
)
def test_it_filters(viewer_api: APIClient, query: str, expected: list[str]) -> None:
    scan = make_scan()
    make_finding(
        scan, 1, rule="modelaudit:A1", severity=Severity.LOW, category=Category.OTHER
    )
    make_finding(
        scan,
        2,
        rule="cisco-scanner:B2",
        scanner="cisco-scanner",
        title="Poisoned tool",
        severity=Severity.HIGH,
    )
    assert rules(viewer_api.get(f"{URL}?{query}")) == expected
    assert (
        rules(viewer_api.get(f"/api/v1/scans/{scan.pk}/findings?{query}")) == expected
    )
    after = "created_after=2026-01-01T00:01:00Z"
    assert rules(viewer_api.get(f"{URL}?{after}")) == ["B2"]
    assert (
        viewer_api.get(f"/api/v1/scans/{scan.pk}/findings?{after}").status_code == 400
    )


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("severity=worst", "severity"),
        ("category=bad", "category"),
        ("waived=1", "waived"),
        ("q=xy", "q"),
        ("scan_id=1", "scan_id"),
        ("scanner=" + "x" * 51, "scanner"),
    ],
)
def test_a_bad_parameter_is_named(
    viewer_api: APIClient, query: str, parameter: str
) -> None:
    answer = viewer_api.get(f"{URL}?{query}")
    assert (answer.status_code, pointers(answer)) == (400, {parameter})


def test_a_list_costs_three_queries(
    viewer_api: APIClient, django_assert_num_queries
) -> None:
    scan = make_scan()
    for number in range(6):
        make_finding(scan, number)
    viewer_api.get(URL)
    with django_assert_num_queries(3):
        viewer_api.get(f"{URL}?limit=5")
    with django_assert_num_queries(3):
        viewer_api.get(f"/api/v1/scans/{scan.pk}/findings?limit=5")


def test_findings_are_counted_and_listed_without_their_scans() -> None:
    """Joined, ten million findings made PostgreSQL read a million scans."""
    assert " JOIN " not in str(FINDINGS.query)
