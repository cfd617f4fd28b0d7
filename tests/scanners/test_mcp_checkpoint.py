"""mcp-checkpoint and our own rules: recorded answers, and the programs themselves."""

import json
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from scanners.adapters.mcp_checkpoint import McpCheckpoint
from scanners.adapters.sentrascan_mcp import SentrascanMcp
from scanners.contract import Category, Completed, Report, ScannerError, Severity
from scanners.install import installed
from scanners.redaction import redact, secrets_of
from scanners.runner import run
from scanners.sandbox import probe
from tests.scanners.mcp_samples import (
    BROKEN,
    CLEAN_CONFIG,
    CONFIG,
    DOCUMENTS,
    GITHUB_TOKEN,
    HARMLESS,
    MANY,
    ONE,
    SCANNERS_DIR,
    SECRETS,
    document,
    golden,
    run_tool,
    target_of,
    tool,
)

SCANNER = McpCheckpoint()
OWN = SentrascanMcp()
NO_MODEL = "The prompt-injection check needs a language model and did not run."


def parsed(name: str) -> Report:
    return SCANNER.parse(target_of(DOCUMENTS[name]), golden("mcp-checkpoint", name))


def rules(report: Report) -> set[tuple[str, str]]:
    return {
        (finding.rule.rule.partition(":")[2], finding.location.path)
        for finding in report.findings
    }


def changed(name: str, change: Any) -> Completed:
    report = json.loads(golden("mcp-checkpoint", name).outputs["report.json"])
    change(report["runs"][0])
    return Completed(0, outputs={"report.json": json.dumps(report).encode()})


def test_an_empty_document_is_an_empty_report() -> None:
    assert parsed("empty").findings == ()


def test_it_says_that_the_language_model_was_not_asked() -> None:
    assert all(NO_MODEL in parsed(name).coverage.notes for name in ("one", "config"))


def test_similar_names_of_harmless_tools_stay_below_every_default_gate() -> None:
    report = parsed("harmless")

    assert rules(report) == {("TOOL_NAME_AMBIGUITY", "tools/get_user")}
    assert report.findings[0].rule.severity is Severity.LOW
    assert report.findings[0].rule.category is Category.TOOL_SHADOWING
    assert report.coverage.failed == ()
    assert len(report.coverage.scanned) == 4


def test_commands_are_found_in_every_kind_of_element() -> None:
    report = parsed("many")

    assert rules(report) == {
        ("COMMAND_INJECTION", "tools/weather"),
        ("COMMAND_INJECTION", "tools/hidden"),
        ("COMMAND_INJECTION", "prompts/leak"),
        ("COMMAND_INJECTION", "resources/file:///x"),
        ("COMMAND_INJECTION", "instructions"),
        ("TOOL_NAME_AMBIGUITY", "tools/weather"),
    }
    assert report.coverage.scanned == {e.path for e in target_of(MANY).elements}
    assert "replay:" not in repr(report)


def test_nothing_is_said_of_the_server_that_only_replays() -> None:
    assert not any("PERMISSIONS" in rule for rule, _ in rules(parsed("many")))


def test_a_secret_names_the_right_server_and_field() -> None:
    found = {f.location.server: f.evidence["field"] for f in parsed("config").findings}

    assert found == {
        "github": "env/GITHUB_TOKEN",
        "google": "env/MAPS",
        "switch": "args/1",
    }


def test_permissions_are_believed_of_programs_not_of_substrings() -> None:
    report = parsed("permissions")

    assert rules(report) == {
        ("EXCESSIVE_TOOL_PERMISSIONS", "servers/shell"),
        ("EXCESSIVE_TOOL_PERMISSIONS", "servers/chance"),
        ("EXCESSIVE_TOOL_PERMISSIONS_INTERPRETER", "servers/interpreter"),
    }
    reasons = {f.title for f in report.findings if f.location.server == "chance"}
    assert reasons == {"Granted the permission admin: server chance"}


def test_what_the_tool_could_not_read_is_a_gap_although_it_says_success() -> None:
    gaps = {gap.path for gap in parsed("broken").coverage.failed}

    assert gaps == {"servers/a", "tools/number"}


def test_a_tool_that_is_not_in_the_report_is_a_gap() -> None:
    completed = changed("harmless", lambda run: run["report"]["tools"].pop())

    report = SCANNER.parse(target_of(HARMLESS), completed)

    assert [gap.path for gap in report.coverage.failed] == ["tools/get_users"]


@pytest.mark.parametrize(
    "change",
    [
        {"exit_code": 1},
        {"report": None},
        {"errors": ["Check scan_for_tool_command_injection failed: x"]},
    ],
)
def test_a_check_that_broke_off_leaves_gaps(change: dict[str, Any]) -> None:
    completed = changed("harmless", lambda run: run.update(change))

    report = SCANNER.parse(target_of(HARMLESS), completed)

    assert len(report.coverage.failed) == 4
    assert report.coverage.scanned == frozenset()


@pytest.mark.parametrize(
    "outputs",
    [
        {},
        {"report.json": b""},
        {"report.json": b"[]"},
        {"report.json": b'{"runs": []}'},
        {"report.json": golden("mcp-checkpoint", "one").outputs["report.json"][:400]},
        golden("mcp-checkpoint", "config").outputs,
    ],
)
def test_a_report_that_makes_no_sense_is_no_report(outputs: dict[str, bytes]) -> None:
    with pytest.raises(ScannerError):
        SCANNER.parse(target_of(ONE), Completed(0, outputs=outputs))


def test_every_server_is_laid_out_disabled() -> None:
    servers = {
        "plain": {"command": "x"},
        "enabled": {"command": "x", "disabled": False, "enabled": True},
        "strange": {"command": "x", "type": "streamable-http", "args": "--token"},
    }
    target = target_of(document(config={"servers": servers}))

    laid_out = json.loads(SCANNER.command(target).files["config-0000.json"])

    assert {s["disabled"] for s in laid_out["mcpServers"].values()} == {True}
    assert len(laid_out["mcpServers"]) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["empty", "one", "many", "harmless", "config", "permissions"]
)
def test_the_real_tool_answers_as_recorded(name: str, tmp_path: Path) -> None:
    target = target_of(DOCUMENTS[name])

    completed = run_tool(SCANNER, target, tmp_path)

    assert SCANNER.parse(target, completed) == parsed(name)


@pytest.mark.slow
def test_no_command_of_a_configuration_is_started(tmp_path: Path) -> None:
    """Outside the sandbox, so that it is not the sandbox that prevents it."""
    witness = tmp_path / "started"
    shell = {"command": "/bin/sh", "args": ["-c", f"touch {witness}"]}
    servers = {
        "plain": shell,
        "typed": {**shell, "type": "stdio", "disabled": False, "enabled": True},
        "local": {**shell, "type": "local"},
        "remote": {"url": f"file://{witness}", **shell},
    }
    target = target_of(
        document(
            config={"mcpServers": servers, "servers": {"again": shell}},
            tools=[tool("add", "Add.")],
        )
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    report = SCANNER.parse(target, run_tool(SCANNER, target, scratch))

    assert not witness.exists()
    assert len(report.coverage.scanned) == 6
    assert report.coverage.failed == ()


@pytest.mark.slow
def test_a_long_list_is_compared_in_groups(tmp_path: Path) -> None:
    many = document(tools=[tool(f"tool_{n}", "Add.") for n in range(101)])
    target = target_of(many)

    report = SCANNER.parse(target, run_tool(SCANNER, target, tmp_path))

    assert len(report.coverage.scanned) == 101
    assert any("groups of 100" in note for note in report.coverage.notes)


@pytest.mark.slow
def test_the_real_tool_reads_whatever_was_submitted(tmp_path: Path) -> None:
    strange = document(
        tools=[*BROKEN["tools"], {"name": "s", "inputSchema": 5, "description": None}],
        prompts=[{"name": "p", "arguments": "x", "description": []}],
        resources=[{"description": {}}, {"uri": "not a uri", "mimeType": 5}],
        config={"mcpServers": {"a": {"args": 5, "type": 5, "env": [], "command": {}}}},
    )
    target = target_of(strange)

    report = SCANNER.parse(target, run_tool(SCANNER, target, tmp_path))

    assert report.coverage.failed == ()
    assert len(report.coverage.scanned) == 6


@pytest.mark.slow
@pytest.mark.parametrize("scanner", [SCANNER, OWN], ids=lambda s: s.name)
def test_the_bait_is_flagged(scanner: Any, tmp_path: Path) -> None:
    target = target_of(scanner.bait())

    report = scanner.parse(target, run_tool(scanner, target, tmp_path))

    assert max(f.rule.severity for f in report.findings) >= Severity.HIGH


@pytest.mark.slow
@pytest.mark.parametrize("scanner", [SCANNER, OWN], ids=lambda s: s.name)
def test_it_answers_the_same_inside_the_sandbox(scanner: Any, tmp_path: Path) -> None:
    target = target_of(CONFIG)
    outside = tmp_path / "outside"
    outside.mkdir()

    finished = run(
        scanner,
        installed(scanner.name, SCANNERS_DIR),
        target,
        limits=scanner.limits,
        rung=probe(),
        run_dir=tmp_path,
        stop=Event(),
    )

    assert finished.report == scanner.parse(target, run_tool(scanner, target, outside))


@pytest.mark.parametrize("name", SECRETS)
def test_our_rules_find_every_secret_of_a_configuration(
    name: str, tmp_path: Path
) -> None:
    server, field = SECRETS[name]
    target = target_of(document(config={"mcpServers": {name: server}}))

    report = OWN.parse(target, run_tool(OWN, target, tmp_path))

    exposed = Category.SECRET_EXPOSURE
    (finding,) = [each for each in report.findings if each.rule.category is exposed]
    assert finding.rule.is_catalogued
    assert finding.rule.severity is Severity.HIGH
    assert finding.location.path == f"servers/{name}"
    assert finding.location.server == name
    assert finding.evidence["path"].startswith(f"/config/mcpServers/{name}/{field}")


def test_our_rules_find_nothing_in_a_clean_configuration(tmp_path: Path) -> None:
    target = target_of(CLEAN_CONFIG)

    report = OWN.parse(target, run_tool(OWN, target, tmp_path))

    assert report.findings == ()
    assert len(report.coverage.scanned) == len(target.elements)


def test_our_rules_find_a_token_in_a_tool(tmp_path: Path) -> None:
    schema = {"properties": {"token": {"default": GITHUB_TOKEN}}}
    target = target_of(document(tools=[tool("login", inputSchema=schema)]))

    (finding,) = OWN.parse(target, run_tool(OWN, target, tmp_path)).findings

    assert finding.location.tool == "login"


def test_no_report_of_ours_holds_a_secret(tmp_path: Path) -> None:
    target = target_of(CONFIG)
    secrets = secrets_of(CONFIG)

    completed = run_tool(OWN, target, tmp_path)

    assert len(secrets) == 9
    text = completed.outputs["report.json"].decode()
    assert not any(secret in text for secret in secrets)
    report = OWN.parse(target, completed)
    assert redact(report, secrets) == report


@pytest.mark.parametrize("outputs", [{}, {"report.json": b"x"}, {"report.json": b"[]"}])
def test_our_rules_without_a_report_have_not_looked(outputs: dict[str, bytes]) -> None:
    with pytest.raises(ScannerError):
        OWN.parse(target_of(CONFIG), Completed(0, outputs=outputs))
