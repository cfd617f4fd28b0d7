"""What the tools say tomorrow of the same weaknesses: each is known again.

The recorded reports of the real tools, changed as a next scan or a next version of the
tool might change them.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanners.adapters.cisco_mcp_scanner import CiscoMcpScanner
from scanners.adapters.mcp_checkpoint import McpCheckpoint
from scanners.adapters.modelaudit import ModelAudit
from scanners.adapters.sentrascan_files import SentrascanFiles
from scanners.contract import (
    Completed,
    Element,
    Report,
    Scanner,
    Severity,
    Target,
    TargetKind,
)
from scanners.documents import elements_of
from scans.choices import RunStatus
from scans.coverage import Outcome
from scans.fingerprints import fingerprints
from scans.models import Scan
from scans.recording import Known, finding_rows
from tests.scanners import mcp_samples
from tests.scanners.record import ROOT, golden

MODELS = ("archives", "checkpoint", "foreign", "many", "one", "repository")
ELSEWHERE = "/srv/another place/run-17/target"
POSITION = re.compile(r"(\((?:pos|offset:) )(\d+)(\))")
# The report's own words for what it is most sure of; the rest has its own meanings.
ONE_LESS = {"critical": "warning", "warning": "critical"}
SEVERE = {"CRITICAL": "HIGH", "HIGH": "MEDIUM", "MEDIUM": "LOW", "LOW": "HIGH"}


def prints(scanner: Scanner, report: Report, *, is_file: bool = False) -> list[str]:
    return fingerprints(scanner.name, report.findings, is_single_file=is_file)


def of_models(scanner: Scanner, sample: str, change: Callable[[Any], Any]) -> list[str]:
    target, completed = golden(scanner.name, sample)
    document = change(json.loads(completed.outputs["report.json"]))
    outputs = {"report.json": json.dumps(document).encode()}
    return prints(scanner, scanner.parse(target, replace(completed, outputs=outputs)))


def shuffled(document: Any, seed: int) -> Any:
    for name in ("issues", "checks", "assets", "files"):
        if name in document:
            random.Random(seed).shuffle(document[name])
    return document


def moved(document: Any, by: int) -> Any:
    """Say that everything is `by` bytes and lines further on."""

    def further(match: re.Match[str]) -> str:
        return f"{match[1]}{int(match[2]) + by}{match[3]}"

    for issue in (*document["issues"], *document["checks"]):
        if issue.get("location"):
            issue["location"] = POSITION.sub(further, issue["location"])
        for name in ("position", "line", "column"):
            value = (issue.get("details") or {}).get(name)
            if isinstance(value, int):
                issue["details"][name] = value + by
    return document


def reworded(document: Any) -> Any:
    """Say otherwise what is known by what it is about and not by its words."""
    for issue in document["issues"]:
        details = issue.get("details") or {}
        if issue.get("why") and details.get("import_reference"):
            issue["message"] = f"{issue['message']}, as version 9 puts it"
            issue["why"] = "Because."
    return document


def weighed(document: Any) -> Any:
    for issue in (*document["issues"], *document["checks"]):
        # An entry about what the tool could not read has a meaning of its own.
        if issue.get("rule_code") not in {"S902", "S999"} and "severity" in issue:
            issue["severity"] = ONE_LESS.get(issue["severity"], issue["severity"])
    return document


@pytest.mark.parametrize("sample", MODELS)
@given(seed=st.integers(0, 2**32), by=st.integers(0, 10**6))
@settings(max_examples=12, deadline=None)
def test_order_positions_words_and_severity_of_models(
    sample: str, seed: int, by: int
) -> None:
    scanner = ModelAudit()
    before = of_models(scanner, sample, lambda document: document)
    assert len(set(before)) == len(before)
    if sample == "archives":
        by = 0  # names in there look like positions

    def changed(document: Any) -> Any:
        return shuffled(moved(reworded(weighed(document)), by), seed)

    assert set(of_models(scanner, sample, changed)) == set(before)


@pytest.mark.parametrize(
    "scanner", [ModelAudit(), SentrascanFiles()], ids=lambda each: each.name
)
@pytest.mark.parametrize("sample", MODELS)
def test_another_root_and_another_order_of_files(scanner: Scanner, sample: str) -> None:
    target, completed = golden(scanner.name, sample)
    before = prints(scanner, scanner.parse(target, completed))
    text = completed.outputs["report.json"].decode()
    there = replace(
        target, root=Path(ELSEWHERE), elements=tuple(reversed(target.elements))
    )
    document = shuffled(json.loads(text.replace(str(ROOT), ELSEWHERE)), 7)
    outputs = {"report.json": json.dumps(document).encode()}
    after = prints(scanner, scanner.parse(there, replace(completed, outputs=outputs)))
    assert sorted(after) == sorted(before)


def test_two_addresses_that_differ_in_a_digit_are_two_weaknesses() -> None:
    # The tool's words with their digits masked were the same, and so was the waiver.
    target, completed = golden("modelaudit", "many")
    found = ModelAudit().parse(target, completed).findings
    hosts = {f.evidence["url"] for f in found if f.rule.rule == "modelaudit:S309"}
    assert {"https://host10.example.com/", "https://host11.example.com/"} <= hosts


def test_of_equals_the_worst_severity_is_kept() -> None:
    target, completed = golden("modelaudit", "one")
    document = json.loads(completed.outputs["report.json"])
    (issue,) = [i for i in document["issues"] if "opcode" in i["details"]]
    issue |= {"rule_code": "NEW", "severity": "warning"}
    document["issues"].append({**issue, "severity": "critical"})
    outputs = {"report.json": json.dumps(document).encode()}
    report = ModelAudit().parse(target, replace(completed, outputs=outputs))
    (found,) = [f for f in report.findings if f.evidence.get("occurrences") == 2]
    assert found.rule.severity is Severity.CRITICAL


def cisco(document: dict[str, Any], rows: list[Any]) -> list[str]:
    completed = Completed(0, stdout=json.dumps(rows).encode())
    scanner = CiscoMcpScanner()
    target = mcp_samples.target_of(document)
    return prints(scanner, scanner.parse(target, completed), is_file=target.is_file)


def test_another_tool_severity_and_summary_of_mcp_scanner() -> None:
    recorded = mcp_samples.golden("cisco-scanner", "many")
    rows = json.loads(recorded.stdout)
    before = cisco(mcp_samples.MANY, rows)
    assert len(set(before)) == len(before) > 5
    for row in rows:
        for result in row["findings"].values():
            result["severity"] = SEVERE.get(result["severity"], result["severity"])
            result["threat_summary"] = "Other words"
            result["threat_names"].reverse()
    assert set(cisco(mcp_samples.MANY, rows)) == set(before)


def test_a_second_tool_is_nothing_that_happened_to_the_first() -> None:
    # The only element of a list once lost its name, as the only file of a scan does:
    # with a second tool beside it every waiver of the first was gone.
    (row,) = json.loads(mcp_samples.golden("cisco-scanner", "one").stdout)
    alone = cisco(mcp_samples.ONE, [row])
    harmless = mcp_samples.tool("add", "Add two numbers.")
    both = mcp_samples.document(tools=[*mcp_samples.ONE["tools"], harmless])
    safe = {"severity": "SAFE", "threat_names": [], "total_findings": 0}
    beside = {**row, "is_safe": True, "tool_name": "add"}
    beside["findings"] = dict.fromkeys(row["findings"], safe)
    assert cisco(both, [row, beside]) == alone


def test_what_is_recorded_keeps_the_name_of_an_only_tool() -> None:
    recorded = mcp_samples.golden("cisco-scanner", "one")
    target = mcp_samples.target_of(mcp_samples.ONE)
    report = CiscoMcpScanner().parse(target, recorded)
    outcome = Outcome("cisco-scanner", RunStatus.COMPLETED, report=report)
    # The digest that a far server's only tool would share with its element.
    (element,) = target.elements
    alike = replace(target, digest=element.digest)
    for each in (target, alike):
        rows = finding_rows(Scan(), each, [outcome], Known(None, frozenset()))
        assert {row.fingerprint for row in rows} == set(
            fingerprints("cisco-scanner", report.findings, is_single_file=False)
        )


@pytest.mark.parametrize("sample", ["one", "many", "config", "permissions"])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=8, deadline=None)
def test_order_and_severity_of_mcp_checkpoint(sample: str, seed: int) -> None:
    recorded = mcp_samples.golden("mcp-checkpoint", sample)
    target = mcp_samples.target_of(mcp_samples.DOCUMENTS[sample])
    scanner = McpCheckpoint()
    before = prints(scanner, scanner.parse(target, recorded))
    assert before
    assert len(set(before)) == len(before)
    document = json.loads(recorded.outputs["report.json"])
    chance = random.Random(seed)
    for run in document["runs"]:
        groups = run["report"]["security_report"]["grouped_findings"]
        chance.shuffle(groups)
        for group in groups:
            chance.shuffle(group["entities_affected"])
            group["severity"] = SEVERE[group["severity"].upper()].lower()
            group["description"] = "Other words"
    outputs = {"report.json": json.dumps(document).encode()}
    after = prints(scanner, scanner.parse(target, replace(recorded, outputs=outputs)))
    assert set(after) == set(before)


@pytest.mark.parametrize(
    ("kind", "elements", "digest", "is_file"),
    [
        (TargetKind.MODEL, ("a.pkl",), "aa", True),
        (TargetKind.MODEL, ("a.pkl",), "of a listing", False),
        (TargetKind.MODEL, ("a.pkl", "b.pkl"), "aa", False),
        (TargetKind.MCP, ("tools/add",), "aa", False),
    ],
    ids=["file", "archive of one", "folder", "one tool"],
)
def test_only_a_file_that_came_by_itself_has_no_name(
    kind: TargetKind, elements: tuple[str, ...], digest: str, is_file: bool
) -> None:
    found = tuple(Element(path, 1, "aa") for path in elements)
    assert Target(kind, ROOT, found, digest).is_file is is_file


def test_elements_of_documents_are_never_files() -> None:
    document = mcp_samples.ONE
    assert len(elements_of(document)) == 1
    assert not mcp_samples.target_of(document).is_file
