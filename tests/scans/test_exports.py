"""JSON, CSV, JUnit and DefectDojo documents, each read by somebody else's reader."""

from __future__ import annotations

import csv
import gc
import io
import json
import tracemalloc
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from jsonschema import Draft202012Validator, FormatChecker
from junitparser import Error, Failure, JUnitXml, Skipped

from scanners.contract import Category, Severity
from scans.exports.csv_table import COLUMNS, FORMULA
from scans.exports.forms import CSV, DEFECTDOJO, FORMS, JSON, JUNIT, SARIF, Form
from scans.exports.json_report import SCHEMA
from scans.exports.reading import Torn, waiver_note
from scans.models import Finding, Policy, Scan, ScanWaiver
from tests.scans.api_samples import BEGIN, make_finding, make_run, make_scan
from tests.scans.export_samples import (
    COVERAGE,
    GAPS,
    HOSTILE,
    failed_scan,
    many_findings,
    report_of,
    written,
)

pytestmark = pytest.mark.django_db
# What DefectDojo's generic parser takes: it refuses a file with any other field.
DOJO_FIELDS = frozenset(
    {"title", "severity", "description", "date", "cwe", "mitigation", "references"}
    | {"active", "verified", "risk_accepted", "line", "file_path", "component_name"}
    | {"static_finding", "dynamic_finding", "unique_id_from_tool"}
    | {"vuln_id_from_tool", "tags", "vulnerability_ids"}
)


def junit_of(scan: Scan) -> Any:
    (suite,) = JUnitXml.fromstring(written(JUNIT, scan))
    return suite


# JSON


def test_json_is_the_scan_with_its_findings(api: Any) -> None:
    scan = failed_scan()
    report = json.loads(written(JSON, scan))
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(report)
    told = api.get(f"/api/v1/scans/{scan.pk}").json()
    assert {name: report[name] for name in told} == told
    listed = api.get(f"/api/v1/scans/{scan.pk}/findings").json()
    more = {"breach", "waiver"}
    assert [
        {k: v for k, v in f.items() if k not in more} for f in report["findings"]
    ] == listed


def test_the_json_schema_refuses_what_is_no_report() -> None:
    report = json.loads(written(JSON, failed_scan()))
    schema = Draft202012Validator(json.loads(SCHEMA.read_text()))
    assert schema.is_valid(report)
    assert not schema.is_valid(report | {"scan_status": "running"})
    assert not schema.is_valid({k: v for k, v in report.items() if k != "findings"})
    report["findings"][0]["severity"] = "bad"
    assert not schema.is_valid(report)


def test_it_says_which_findings_break_the_gate() -> None:
    scan = make_scan(verdict="fail", total_findings=2)
    make_finding(scan, 1)
    kept = {"severity": Severity.LOW, "category": Category.QUALITY}
    make_finding(scan, 2, **kept)
    report = json.loads(written(JSON, scan))
    assert [each["breach"] for each in report["findings"]] == ["critical", ""]


def test_only_the_policy_that_judged_says_what_breaks() -> None:
    document = {"severity_threshold": "critical", "block_categories": []}
    policy = Policy.objects.create(name="lenient", document=document)
    scan = make_scan(verdict="fail", policy=policy, policy_name="lenient")
    make_finding(scan, 1, severity=Severity.HIGH)
    report = json.loads(written(JSON, scan))
    assert report["findings"][0]["breach"] == ""


# CSV


def test_no_cell_is_a_formula_and_none_is_lost() -> None:
    scan = failed_scan(target="=1+1")
    text = written(CSV, scan).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert len(rows) == len(HOSTILE)
    assert {tuple(row) for row in rows} == {COLUMNS}
    for row in rows:
        assert not any(cell.startswith(FORMULA) for cell in row.values())
        assert row["target"] == "'=1+1"
    plain = {row["title"].removeprefix("'") for row in rows}
    assert plain == {text or "Plain" for text in HOSTILE}
    assert json.loads(rows[0]["evidence"])["big"] == 2**70


def test_csv_keeps_to_rfc_4180() -> None:
    text = written(CSV, failed_scan())
    head, _, rest = text.partition(b"\r\n")
    assert head == ",".join(COLUMNS).encode()
    assert rest.endswith(b"\r\n")
    assert not text.startswith(b"\xef\xbb\xbf")


def test_a_clean_scan_is_a_header_alone() -> None:
    assert written(CSV, make_scan()) == ",".join(COLUMNS).encode() + b"\r\n"


# JUnit


def test_a_case_for_each_scanner_says_what_breaks_and_what_was_left_out() -> None:
    suite = junit_of(failed_scan())
    modelaudit, files = suite
    assert (suite.name, suite.tests, suite.failures, suite.errors) == (
        "models",
        2,
        1,
        1,
    )
    assert modelaudit.name == "modelaudit"
    assert modelaudit.classname == "models"
    assert modelaudit.time == 1.5
    (failure,) = modelaudit.result
    assert isinstance(failure, Failure)
    assert "break the policy default" in failure.message
    assert "[critical] modelaudit:" in failure.text
    (error,) = files.result
    assert isinstance(error, Error)
    assert "no scanner opens this format" in error.message
    told = {each.name: each.value for each in suite.properties()}
    assert told["coverage.sentrascan-files"] == "incomplete, 1 of 2 elements"


def test_what_xml_cannot_carry_is_escaped() -> None:
    target = "a\x0b\x00\ufffe\ud7ff<&\"'>\n".replace("\x00", "")
    suite = junit_of(make_scan(target=target))
    assert suite.name == "a\\x0b\\ufffe\ud7ff<&\"'>\n"


def test_a_pass_has_neither_failure_nor_error_even_with_gaps() -> None:
    # As with `require_coverage: partial`.
    scan = make_scan(verdict="pass")
    make_run(scan, coverage=GAPS)
    suite = junit_of(scan)
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (1, 0, 0, 0)


@pytest.mark.parametrize("verdict", ["fail", "inconclusive"])
@pytest.mark.parametrize("runs", [[], [COVERAGE], [COVERAGE, GAPS]])
def test_what_did_not_pass_is_never_green(verdict: str, runs: list[Any]) -> None:
    scan = make_scan(verdict=verdict, reasons=["The policy requires an SBOM"])
    for number, coverage in enumerate(runs):
        make_run(scan, f"s{number}", coverage=coverage)
    suite = junit_of(scan)
    assert bool(suite.failures) == (verdict == "fail")
    assert suite.failures + suite.errors > 0


def test_a_cancelled_scan_is_an_error() -> None:
    suite = junit_of(make_scan(scan_status="cancelled"))
    assert (suite.failures, suite.errors) == (0, 1)


# DefectDojo


def test_defectdojo_gets_only_fields_that_it_knows() -> None:
    document = json.loads(written(DEFECTDOJO, failed_scan()))
    assert document["type"] == "SentraScan"
    assert len(document["findings"]) == len(HOSTILE)
    for finding in document["findings"]:
        assert set(finding) <= DOJO_FIELDS
        assert finding["severity"] in {"Critical", "High", "Medium", "Low", "Info"}
        assert finding["title"]
        assert finding["description"]
        assert len(finding["title"]) <= 511
        assert finding["unique_id_from_tool"].startswith("v1:")
    assert document["findings"][0]["cwe"] == 502
    assert {f["vuln_id_from_tool"] for f in document["findings"]} == {
        "modelaudit:S201",
        "modelaudit:BRAND_NEW",
    }


# All


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_same_rows_are_the_same_bytes(form: Form) -> None:
    scan = failed_scan()
    assert written(form, scan) == written(form, scan)
    before = form.etag(report_of(scan))
    Finding.objects.filter(scan=scan, rule="modelaudit:BRAND_NEW").first().delete()
    assert form.etag(report_of(scan)) != before


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_findings_that_go_meanwhile_end_the_document_early(form: Form) -> None:
    scan = failed_scan()
    report = report_of(scan)
    Finding.objects.filter(scan=scan).delete()
    with pytest.raises(Torn):
        b"".join(form.write(report))


@pytest.mark.slow
def test_50_000_findings_take_no_more_memory_than_few() -> None:
    scan = many_findings(50_000)
    for form in FORMS.values():
        gc.collect()
        tracemalloc.start()
        try:
            with CaptureQueriesContext(connection) as said:
                size = sum(map(len, form.write(report_of(scan))))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 24 << 20, form.name
        assert len(said) < 12, form.name
        if form is not JUNIT:  # which counts them, and shows a hundred
            assert size > 20 << 20, form.name


def test_the_number_of_queries_does_not_depend_on_the_findings() -> None:
    counts = set()
    for scan in (failed_scan(), many_findings(1_500)):
        for form in FORMS.values():
            with CaptureQueriesContext(connection) as said:
                written(form, scan)
            counts.add((form.name, len(said)))
    assert len(counts) == len(FORMS)


def test_a_waived_finding_stays_in_with_who_accepted_it_and_until_when() -> None:
    scan = make_scan(verdict="pass", total_findings=1)
    make_run(scan, coverage=COVERAGE)
    finding = make_finding(scan)
    ScanWaiver.objects.create(
        scan=scan,
        waiver_id=finding.pk,
        fingerprint=finding.fingerprint,
        reason="Known",
        created_by="ann",
        expires_at=BEGIN,
    )
    note = "Known (waived by ann until 2026-01-01 00:00 UTC)"
    (told,) = json.loads(written(JSON, scan))["findings"]
    assert (told["waived"], told["breach"]) == (True, "")
    assert told["waiver"]["created_by"] == "ann"
    assert told["waiver_id"] == str(finding.pk)
    (row,) = csv.DictReader(io.StringIO(written(CSV, scan).decode(), newline=""))
    assert (row["waived"], row["waiver"]) == ("true", note)
    suite = junit_of(scan)
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (1, 0, 0, 1)
    (skipped,) = next(iter(suite)).result
    assert isinstance(skipped, Skipped)
    assert note in skipped.text
    (entry,) = json.loads(written(DEFECTDOJO, scan))["findings"]
    assert (entry["active"], entry["risk_accepted"]) == (False, True)
    assert note in entry["description"]
    (run,) = json.loads(written(SARIF, scan))["runs"]
    (result,) = run["results"]
    (suppression,) = result["suppressions"]
    assert suppression == {
        "kind": "external",
        "status": "accepted",
        "justification": note,
    }
    assert waiver_note({"waiver": None}) == ""


def test_names_of_files_are_safe() -> None:
    for target in ("../../etc/passwd", 'a"b\r\nSet-Cookie: x', "漢", "-rf", "a" * 500):
        for form in FORMS.values():
            name = form.file_name(report_of(make_scan(target=target)))
            assert name.startswith("sentrascan-")
            assert name.endswith(f".{form.suffix}")
            assert len(name) < 128
            assert not set(name) - set(
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
            )
            assert ".." not in name
