from __future__ import annotations

import pytest

from scanners.adapters.sentrascan_mcp import SentrascanMcp
from scanners.contract import Category, Completed, ScannerError, Severity
from tests.scanners.mcp_samples import (
    DOCUMENTS,
    GOLDEN,
    SECRETS,
    golden,
    run_tool,
    target_of,
)

SCANNER = SentrascanMcp()


def report(name: str):
    return SCANNER.parse(target_of(DOCUMENTS[name]), golden(SCANNER.name, name))


@pytest.mark.parametrize("name", ["empty", "clean"])
def test_placeholders_and_variables_are_no_secrets(name):
    assert report(name).findings == ()


def test_a_token_is_named_by_server_and_field_and_never_shown():
    (finding,) = report("one-secret").findings
    assert finding.location.server == "github"
    assert finding.rule.severity == Severity.HIGH
    assert finding.rule.category == Category.SECRET_EXPOSURE
    assert finding.evidence["path"] == "/config/mcpServers/github/env/GITHUB_TOKEN"
    secret = SECRETS["github"][0]["env"]["GITHUB_TOKEN"]
    assert secret not in repr(finding)


def test_every_kind_of_secret_is_found_in_its_server():
    found = {finding.location.server for finding in report("many-secrets").findings}
    assert found == set(SECRETS)


def test_no_answer_is_no_clean_report():
    document = target_of(DOCUMENTS["broken"])
    with pytest.raises(ScannerError):
        SCANNER.parse(document, golden(SCANNER.name, "broken"))
    with pytest.raises(ScannerError):
        SCANNER.parse(document, Completed(exit_code=1))
    with pytest.raises(ScannerError):
        SCANNER.parse(document, Completed(0, outputs={"report.json": b"{"}))


@pytest.mark.parametrize("name", GOLDEN["sentrascan-mcp"])
def test_it_answers_as_recorded(name, tmp_path):
    target = target_of(DOCUMENTS[name])
    done = run_tool(SCANNER, target, tmp_path)
    assert SCANNER.parse(target, done) == report(name)


def test_it_finds_its_bait(tmp_path):
    target = target_of(dict(SCANNER.bait()))
    assert SCANNER.parse(target, run_tool(SCANNER, target, tmp_path)).findings
