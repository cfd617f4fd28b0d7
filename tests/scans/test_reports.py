from __future__ import annotations

import json

import pytest

from scanners.contract import (
    Category,
    Coverage,
    Location,
    Report,
    ReportedFinding,
    Rule,
    Severity,
    Skipped,
)
from scans import reports

NASTY = "nul \x00, surrogate \udc80, quote \"', line \u2028, emoji \N{SNAKE}"
RULE = Rule(
    "modelaudit:S201",
    Severity.CRITICAL,
    Category.CODE_EXECUTION,
    "Import",
    remediation="Do not load it",
    cwe=("CWE-502",),
    owasp_llm=("LLM03",),
    owasp_mcp=("MCP03",),
    atlas=("AML.T0011.000", "AML.T0010"),
    is_catalogued=False,
)
FULL = Report(
    findings=(
        ReportedFinding(
            RULE,
            NASTY,
            description=NASTY,
            location=Location("a.pkl", "m", 3, 9, "server", "tool"),
            evidence={"z": [1, 2.5, None, True, {"deep": NASTY}], "a": 1 << 80},
            element=NASTY,
            evidence_key=NASTY,
        ),
        ReportedFinding(RULE, "bare"),
    ),
    coverage=Coverage(
        scanned=frozenset({"a.pkl", "b"}),
        inert=frozenset({"README.md"}),
        failed=(Skipped("c", "why"), Skipped("d", NASTY)),
        identified={"b": "SentencePiece"},
        bytes_scanned=1 << 40,
        notes=("one", NASTY),
    ),
    inside={"a.pkl": {"format": "pickle", "imports": [NASTY]}, NASTY: {}},
)


@pytest.mark.parametrize("report", [FULL, Report()], ids=["full", "empty"])
def test_a_report_comes_back_as_it_was(report):
    text = reports.dump(report)
    assert text.isascii()
    assert "\x00" not in text
    again = reports.load(text)
    assert again == report
    assert type(again.findings) is tuple
    for finding in again.findings:
        assert isinstance(finding.rule.severity, Severity)
        assert isinstance(finding.rule.category, Category)
    assert list(map(list, (f.evidence for f in again.findings))) == [
        list(f.evidence) for f in report.findings
    ]


SPOILT = {
    "format": lambda values: values | {"format": 99},
    "no findings": lambda values: values | {"findings": None},
    "no rule": lambda values: values | {"findings": [{"rule": {}}]},
    "nothing": lambda values: {"format": 2},
    "list": lambda values: [],
    "unknown": lambda values: values | {"coverage": values["coverage"] | {"new": 1}},
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_what_is_no_stored_report_is_refused(spoil):
    values = json.loads(reports.dump(FULL))
    with pytest.raises(ValueError, match=r"stored report|another format"):
        reports.load(json.dumps(spoil(values)))
