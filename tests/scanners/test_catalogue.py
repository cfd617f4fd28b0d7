"""The catalogue of rules."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from scanners import observations
from scanners.catalogue import HERE, canonical, lookup, rules_of
from scanners.contract import Category, Severity
from scanners.file_rules import patterns
from scanners.runner import Tool

FILES = sorted(HERE.glob("*.json"))
SHAPES = {
    "cwe": r"CWE-\d+",
    "owasp_llm": r"LLM(?:0[1-9]|10)",
    "owasp_mcp": r"MCP(?:0[1-9]|10)",
    "atlas": r"AML\.T\d{4}(?:\.\d{3})?",
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_rule_is_complete_and_well_formed(path: Path) -> None:
    document = json.loads(path.read_text("utf-8"))
    assert document["scanner"] == path.stem
    assert document["source"] == "sentrascan"
    for code, rule in rules_of(path.stem).items():
        assert code == canonical(code)
        assert rule.rule == f"{path.stem}:{code}"
        assert rule.title
        assert rule.remediation
        assert rule.is_catalogued
        for name, shape in SHAPES.items():
            assert all(re.fullmatch(shape, value) for value in getattr(rule, name))


def test_it_knows_every_rule_that_modelaudit_lists(tools: dict[str, Tool]) -> None:
    entry = "from modelaudit.__main__ import _run; _run()"
    arguments = ("rules", "--list", "--format", "json")
    listed = subprocess.run(
        [tools["modelaudit"].python, "-I", "-c", entry, *arguments],
        env={"PROMPTFOO_DISABLE_TELEMETRY": "1", "NO_ANALYTICS": "1", "HOME": "/"},
        capture_output=True,
        check=True,
        timeout=120,
    )
    codes = {rule["code"] for rule in json.loads(listed.stdout)}
    assert len(codes) > 100
    assert codes <= rules_of("modelaudit").keys()


def test_it_knows_every_rule_of_our_own_files_scanner() -> None:
    assert {pattern.rule for pattern in patterns.PATTERNS} <= rules_of(
        "sentrascan-files"
    ).keys()


def test_it_knows_every_rule_of_started_servers() -> None:
    codes = {
        value
        for value in vars(observations).values()
        if isinstance(value, str) and value.startswith("MCP-RUNTIME-")
    }
    assert len(codes) == 14
    assert codes <= rules_of("sentrascan-mcp").keys()


def test_severity_comes_from_the_rule_and_not_from_the_tool() -> None:
    rule = lookup("modelaudit", "S201", tool_severity=Severity.INFO)
    assert rule.severity is Severity.CRITICAL
    assert rule.is_catalogued


def test_an_import_outside_the_allow_list_is_a_medium() -> None:
    rule = lookup(
        "modelaudit", "non allowlisted global", tool_severity=Severity.CRITICAL
    )
    assert rule.rule == "modelaudit:NON_ALLOWLISTED_GLOBAL"
    assert rule.severity is Severity.MEDIUM


def test_an_unknown_rule_keeps_what_the_tool_says() -> None:
    rule = lookup(
        "modelaudit",
        "brand new",
        tool_severity=Severity.LOW,
        category=Category.OBFUSCATION,
    )
    assert rule.rule == "modelaudit:BRAND_NEW"
    assert rule.severity is Severity.LOW
    assert rule.category is Category.OBFUSCATION
    assert rule.title == "Brand new"
    assert not rule.is_catalogued


def test_a_scanner_without_a_data_file_has_no_catalogued_rules() -> None:
    rule = lookup("nobody", "X", tool_severity=Severity.HIGH, title="Found")
    assert (rule.severity, rule.title, rule.is_catalogued) == (
        Severity.HIGH,
        "Found",
        False,
    )
