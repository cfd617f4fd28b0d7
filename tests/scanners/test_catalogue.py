"""The catalogue of rules."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scanners import observations, rulebooks
from scanners.catalogue import HERE, canonical, lookup, rules_of
from scanners.contract import Category, Severity
from scanners.file_rules import patterns
from scanners.runner import Tool
from scanners.sandbox import probe
from tests.scanners.mcp_samples import SCANNERS_DIR

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
        assert rule.cwe
        assert rule.owasp_llm or rule.owasp_mcp
        assert rule.rule == f"{path.stem}:{code}"
        assert rule.title
        assert rule.remediation
        assert rule.is_catalogued
        for name, shape in SHAPES.items():
            assert all(re.fullmatch(shape, value) for value in getattr(rule, name))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least", "among"),
    [
        ("modelaudit", 200, {"S201", "PICKLE_CHECK", "CVE-2025-1550"}),
        ("mcp-checkpoint", 7, {"COMMAND_INJECTION", "HARDCODED_SECRET"}),
        ("cisco-scanner", 8, {"TOOL_POISONING", "INDIRECT_SCHEMA_REFERENCE"}),
    ],
)
def test_it_knows_every_rule_that_an_installed_tool_lists(
    tools: dict[str, Tool], tmp_path: Path, name: str, least: int, among: set[str]
) -> None:
    rung = probe()
    listed = rulebooks.rules_in(name, SCANNERS_DIR, rung=rung, run_dir=tmp_path)
    assert len(listed) >= least
    assert among <= listed.keys()
    assert listed.keys() <= rules_of(name).keys()


def test_a_rule_that_a_tool_has_and_we_do_not_is_new() -> None:
    rule = rulebooks.Listed("BRAND_NEW", "New", "high", "source")
    ours = dict.fromkeys(rules_of("cisco-scanner"), rule)
    gone = ours.pop("TOOL_SHADOWING")
    listed = ours | {"BRAND_NEW": rule}
    found = rulebooks.compared("cisco-scanner", "9", listed)
    assert (found.version, found.added, found.unlisted) == (
        "9",
        (gone,),
        ("TOOL_SHADOWING",),
    )


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
