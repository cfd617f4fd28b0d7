"""`catalogue`, by its real door."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from scanners import catalogue, rulebooks
from scanners.catalogue import rules_of
from scanners.runner import Tool
from tests.project.running import sentrascan


def said(*arguments: str) -> str:
    out = StringIO()
    call_command("catalogue", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_every_rule_is_listed_with_its_taxonomy() -> None:
    rows = json.loads(said("list", "--json"))
    assert len(rows) == sum(len(rules_of(name)) for name in catalogue.SCANNERS)
    row = next(row for row in rows if row["rule"] == "modelaudit:S201")
    assert (row["severity"], row["category"]) == ("critical", "deserialization")
    assert row["cwe"] == ["CWE-502"]
    lines = said("list", "--scanner", "mcp-checkpoint").splitlines()
    assert lines[0].split()[:3] == ["RULE", "SEVERITY", "CATEGORY"]
    assert len(lines) == 1 + len(rules_of("mcp-checkpoint"))


def test_a_rule_that_is_new_in_a_tool_is_named_and_is_exit_1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new = rulebooks.Listed("BRAND_NEW", "A new check", "high", "source")
    found = rulebooks.Difference("9.9", (new,), ("OLD",))
    monkeypatch.setattr(rulebooks, "difference", lambda *args, **kwargs: found)
    out = StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("catalogue", "diff", "--scanner=modelaudit", stdout=out)
    assert end.value.code == 1
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("modelaudit 9.9: 1 new, ")
    assert lines[1] == "  + BRAND_NEW (high): A new check"
    assert lines[2].startswith("  = OLD: ")


def test_a_tool_that_is_not_there_is_an_error(tmp_path) -> None:
    with pytest.raises(CommandError, match="mcp-checkpoint"):
        said("diff", "--scanner=mcp-checkpoint", "--installed-in", str(tmp_path))


@pytest.mark.slow
def test_an_installed_tool_is_asked(
    tools: dict[str, Tool], process_environment: dict[str, str]
) -> None:
    result = sentrascan(
        *("catalogue", "diff", "--scanner", "mcp-checkpoint", "--json"),
        env=process_environment,
    )
    assert (result.returncode, result.stderr) == (0, "")
    told = json.loads(result.stdout)["mcp-checkpoint"]
    assert told["version"] == tools["mcp-checkpoint"].version
    assert told["added"] == []
    assert told["unlisted"] == [
        "COMMAND_INJECTION_HINT",
        "EXCESSIVE_TOOL_PERMISSIONS_INTERPRETER",
    ]
