"""SARIF: the standard's schema, GitHub's rules, a reader of others."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator, FormatChecker
from sarif import loader

from scanners.catalogue import rules_of
from scanners.contract import Severity
from scans.exports import sarif
from scans.exports.forms import SARIF
from scans.models import Scan
from tests.scans.api_samples import make_finding, make_run, make_scan
from tests.scans.export_samples import GAPS, HOSTILE, failed_scan, written

pytestmark = pytest.mark.django_db
SCHEMA = Path(__file__).parents[1] / "schemas" / "sarif-schema-2.1.0.json"


def log_of(scan: Scan) -> dict[str, Any]:
    """Return the log, valid by the standard and without a null."""
    text = written(SARIF, scan)
    log: dict[str, Any] = json.loads(text)
    schema = json.loads(SCHEMA.read_text())
    Draft4Validator(schema, format_checker=FormatChecker()).validate(log)
    evidence = [
        result["properties"].pop("evidence")
        for run in log["runs"]
        for result in run["results"]
    ]
    assert len(evidence) == sum(len(run["results"]) for run in log["runs"])
    assert "null" not in re.sub(r'"(?:[^"\\]|\\.)*"', "", json.dumps(log))
    return log


def test_hostile_texts_make_a_valid_log_that_others_read(tmp_path: Path) -> None:
    scan = failed_scan()
    log = log_of(scan)
    assert log["version"] == "2.1.0"
    assert [run["tool"]["driver"]["name"] for run in log["runs"]] == [
        "modelaudit",
        "sentrascan-files",
    ]
    path = tmp_path / "report.sarif"
    path.write_bytes(written(SARIF, scan))
    records = loader.load_sarif_file(str(path)).get_records()
    assert len(records) == len(HOSTILE)
    assert {record["Tool"] for record in records} == {"modelaudit"}
    assert {record["Line"] for record in records} == {1}


def test_every_rule_is_declared_found_or_not() -> None:
    scan = failed_scan()
    modelaudit, files = log_of(scan)["runs"]
    declared = [rule["id"] for rule in modelaudit["tool"]["driver"]["rules"]]
    assert {f"modelaudit:{code}" for code in rules_of("modelaudit")} < set(declared)
    assert "modelaudit:BRAND_NEW" in declared
    assert not files["results"]
    assert len(files["tool"]["driver"]["rules"]) == len(rules_of("sentrascan-files"))
    for result in modelaudit["results"]:
        assert declared[result["ruleIndex"]] == result["ruleId"]


@pytest.mark.parametrize(
    ("severity", "level", "score"),
    [
        (Severity.CRITICAL, "error", "9.5"),
        (Severity.HIGH, "error", "8.0"),
        (Severity.MEDIUM, "warning", "5.5"),
        (Severity.LOW, "note", "2.0"),
        (Severity.INFO, "note", None),
    ],
)
def test_severities_are_githubs(
    severity: Severity, level: str, score: str | None
) -> None:
    scan = make_scan(verdict="fail", total_findings=1)
    make_finding(scan, severity=severity, rule="modelaudit:NEW")
    (run,) = log_of(scan)["runs"]
    (rule,) = [r for r in run["tool"]["driver"]["rules"] if r["id"] == "modelaudit:NEW"]
    assert rule["properties"].get("security-severity") == score
    assert "security" in rule["properties"]["tags"]
    assert run["results"][0]["level"] == level


def test_a_place_in_a_binary_file_has_its_offset_and_a_line() -> None:
    scan = make_scan(verdict="fail")
    fingerprint = make_finding(
        scan, 7, location={"path": "a b/ü:1.pkl", "byte_offset": 9}
    ).fingerprint
    (run,) = log_of(scan)["runs"]
    (result,) = run["results"]
    physical = result["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"] == {"uri": "a%20b/%C3%BC%3A1.pkl"}
    assert physical["region"] == {"startLine": 1, "byteOffset": 9}
    prints = result["partialFingerprints"]
    assert prints["sentrascan/v1"] == fingerprint
    assert prints["primaryLocationLineHash"] == f"{7:064x}:1"


@pytest.mark.parametrize("path", ["/etc/passwd", "../../x", "//host/x", "C:/x", ""])
def test_no_address_leaves_the_target(path: str) -> None:
    scan = make_scan(verdict="fail", target="/models/a.pkl")
    make_finding(scan, location={"path": path})
    uri = log_of(scan)["runs"][0]["results"][0]["locations"][0]["physicalLocation"][
        "artifactLocation"
    ]["uri"]
    assert re.fullmatch(r"[A-Za-z0-9%._~-]+(/[A-Za-z0-9%._~-]+)*", uri)
    assert ".." not in uri


def test_a_tool_of_an_mcp_server_is_a_function_beside_the_file() -> None:
    scan = make_scan(scan_type="mcp", target="mcp.json", verdict="fail")
    place = {"path": "tools/add", "server": "github", "tool": "add"}
    make_finding(scan, location=place)
    (run,) = log_of(scan)["runs"]
    (location,) = run["results"][0]["locations"]
    assert location["physicalLocation"]["artifactLocation"] == {"uri": "mcp.json"}
    (logical,) = location["logicalLocations"]
    assert (logical["kind"], logical["fullyQualifiedName"]) == (
        "function",
        "github/add",
    )
    assert run["automationDetails"]["id"] == "sentrascan/mcp/mcp.json/"


def test_texts_are_no_links_and_no_placeholders() -> None:
    scan = make_scan(verdict="fail")
    make_finding(scan, title="[click](http://evil.example) {0}")
    text = log_of(scan)["runs"][0]["results"][0]["message"]["text"]
    assert text == r"\[click](http://evil.example) {{0}}"


def test_what_was_not_examined_is_no_silence() -> None:
    scan = make_scan(
        verdict="inconclusive", reasons=["modelaudit gave no answer: gone"]
    )
    make_run(scan, "modelaudit", status="failed", error="the tool was killed")
    make_run(scan, "sentrascan-files", coverage=GAPS)
    broken, partial = log_of(scan)["runs"]
    (invocation,) = broken["invocations"]
    assert not invocation["executionSuccessful"]
    (said,) = invocation["toolExecutionNotifications"]
    assert said["message"]["text"] == "the tool was killed"
    notes = partial["invocations"][0]["toolExecutionNotifications"]
    assert [each["level"] for each in notes] == ["error", "note"]
    assert "was not examined" in notes[0]["message"]["text"]
    assert partial["properties"]["verdict"] == "inconclusive"


def test_a_scan_that_nobody_began_is_no_clean_log() -> None:
    scan = make_scan(scan_status="failed", reasons=["The target could not be had"])
    (run,) = log_of(scan)["runs"]
    assert not run["invocations"][0]["executionSuccessful"]
    assert run["properties"]["verdict"] == "inconclusive"


def test_a_long_list_goes_on_in_a_further_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "RESULTS_OF_RUN", 4)
    scan = make_scan(verdict="fail", target="m")
    for number in range(8):
        make_finding(scan, number)
    first, second = log_of(scan)["runs"]
    assert [len(run["results"]) for run in (first, second)] == [4, 4]
    ids = [run["automationDetails"]["id"] for run in (first, second)]
    assert ids == ["sentrascan/model/m/", "sentrascan/model/m/part-2/"]
