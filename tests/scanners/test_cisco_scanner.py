"""Cisco's mcp-scanner: its recorded answers, and the tool itself."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scanners.adapters.cisco_mcp_scanner import MAX_SCHEMA_NODES, CiscoMcpScanner
from scanners.contract import Category, Completed, Report, ScannerError, Severity
from scanners.mcp_rules.servers import owner
from tests.scanners.mcp_samples import (
    BROKEN,
    CONFIG,
    DOCUMENTS,
    EMPTY,
    HARMLESS,
    MANY,
    ONE,
    POISON,
    document,
    golden,
    run_tool,
    target_of,
    tool,
)

SCANNER = CiscoMcpScanner()
POISONED = {
    "tools/weather",
    "tools/hidden",
    "prompts/leak",
    "resources/file:///x",
    "instructions",
}


def parsed(name: str) -> Report:
    return SCANNER.parse(target_of(DOCUMENTS[name]), golden("cisco-scanner", name))


def paths(report: Report) -> set[str]:
    return {finding.location.path for finding in report.findings}


def test_an_empty_list_is_an_empty_report() -> None:
    report = parsed("empty")

    assert report.findings == ()
    assert report.coverage.scanned == frozenset()


def test_harmless_tools_have_no_finding() -> None:
    report = parsed("harmless")

    assert report.findings == ()
    assert len(report.coverage.scanned) == 4
    assert report.coverage.failed == ()


def test_every_threat_of_a_tool_is_a_finding_ranked_by_the_catalogue() -> None:
    findings = {f.rule.rule: f for f in parsed("one").findings}

    assert set(findings) == {
        "cisco-scanner:CREDENTIAL_HARVESTING",
        "cisco-scanner:DATA_EXFILTRATION",
        "cisco-scanner:INJECTION_ATTACK",
        "cisco-scanner:PROMPT_INJECTION",
    }
    injection = findings["cisco-scanner:PROMPT_INJECTION"]
    assert injection.rule.severity is Severity.HIGH
    assert injection.rule.category is Category.PROMPT_INJECTION
    assert injection.rule.is_catalogued
    assert injection.location.tool == "weather"
    assert injection.element == "tools/weather"


def test_equal_names_are_told_apart_by_position() -> None:
    report = parsed("many")

    assert paths(report) == POISONED | {"tools/remote"}
    assert {e.path for e in target_of(MANY).elements} == report.coverage.scanned
    assert report.coverage.failed == ()


def test_a_reference_in_a_schema_is_medium() -> None:
    found = [f for f in parsed("many").findings if f.location.path == "tools/remote"]

    assert [f.rule.rule for f in found] == ["cisco-scanner:INDIRECT_SCHEMA_REFERENCE"]
    assert found[0].rule.severity is Severity.MEDIUM


def test_an_analyzer_that_failed_leaves_a_gap() -> None:
    report = parsed("broken")

    assert report.coverage.scanned == frozenset()
    assert [gap.path for gap in report.coverage.failed] == ["tools/number"]


def test_a_skipped_tool_is_a_gap() -> None:
    rows = json.loads(golden("cisco-scanner", "one").stdout)
    rows[0] |= {"status": "skipped", "findings": {}}
    completed = Completed(0, json.dumps(rows).encode())

    report = SCANNER.parse(target_of(ONE), completed)

    assert [gap.path for gap in report.coverage.failed] == ["tools/weather"]


def test_a_schema_larger_than_the_tool_reads_is_a_gap() -> None:
    schema = {"anyOf": [{} for _ in range(MAX_SCHEMA_NODES)]}
    large = document(tools=[tool("weather", POISON, inputSchema=schema)])

    report = SCANNER.parse(target_of(large), golden("cisco-scanner", "one"))

    assert [gap.path for gap in report.coverage.failed] == ["tools/weather"]


@pytest.mark.parametrize(
    "completed",
    [
        Completed(1, b"", b"Error during scanning"),
        Completed(0, b""),
        Completed(0, b"{}"),
        Completed(0, b"[1]"),
        Completed(0, b"[]"),
        Completed(-9, b"[]"),
        Completed(0, golden("cisco-scanner", "one").stdout[:500]),
        golden("cisco-scanner", "harmless"),
        replace(golden("cisco-scanner", "one"), exit_code=1),
    ],
)
def test_an_answer_that_makes_no_sense_is_no_report(completed: Completed) -> None:
    with pytest.raises(ScannerError):
        SCANNER.parse(target_of(ONE), completed)


def test_an_answer_in_another_order_is_no_report() -> None:
    rows = json.loads(golden("cisco-scanner", "harmless").stdout)
    completed = Completed(0, json.dumps(rows[::-1]).encode())

    with pytest.raises(ScannerError):
        SCANNER.parse(target_of(HARMLESS), completed)


def test_a_list_belongs_to_the_only_server_of_the_configuration() -> None:
    one = {**ONE, "config": {"mcpServers": {"forecast": {"command": "npx"}}}}

    report = SCANNER.parse(target_of(one), golden("cisco-scanner", "one"))

    assert {f.location.server for f in report.findings} == {"forecast"}
    assert owner(CONFIG) is None


def test_a_configuration_alone_does_not_fit() -> None:
    assert not SCANNER.fits(target_of(CONFIG))
    assert not SCANNER.fits(target_of(EMPTY))
    assert SCANNER.fits(target_of(document(instructions="Be kind.")))


def test_no_argument_comes_from_the_target() -> None:
    evil = document(tools=[tool("--output=/etc/passwd", "--rules-path /")])

    arguments = SCANNER.command(target_of(evil)).arguments

    assert arguments == SCANNER.command(target_of(ONE)).arguments


@pytest.mark.slow
@pytest.mark.parametrize("name", ["empty", "one", "many", "harmless"])
def test_the_real_tool_answers_as_recorded(name: str, tmp_path: Path) -> None:
    target = target_of(DOCUMENTS[name])

    completed = run_tool(SCANNER, target, tmp_path)

    assert SCANNER.parse(target, completed) == parsed(name)


@pytest.mark.slow
def test_the_real_tool_flags_the_bait(tmp_path: Path) -> None:
    bait: Any = SCANNER.bait()
    target = target_of(bait)

    report = SCANNER.parse(target, run_tool(SCANNER, target, tmp_path))

    assert paths(report) == {"tools/weather"}


@pytest.mark.slow
def test_the_real_tool_can_read_what_it_is_given_whatever_was_submitted(
    tmp_path: Path,
) -> None:
    strange = document(
        tools=[*BROKEN["tools"], {"name": "s", "inputSchema": 5, "description": None}],
        prompts=[{"name": "p", "arguments": "x", "description": []}],
        resources=[{"description": {}}, {"uri": "not a uri", "blob": "AAAA"}],
    )
    target = target_of(strange)

    report = SCANNER.parse(target, run_tool(SCANNER, target, tmp_path))

    assert report.coverage.failed == ()
    assert len(report.coverage.scanned) == 5
