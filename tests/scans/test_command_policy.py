"""`policy`, by its real door: files, output and exit codes."""

from __future__ import annotations

import io
import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from scans import policy_text
from scans.gate import DEFAULT_DOCUMENT
from scans.management.commands.policy import Command
from scans.models import Policy

pytestmark = pytest.mark.django_db


def policy(*arguments: str) -> str:
    out = StringIO()
    call_command("policy", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


@pytest.fixture
def strict(tmp_path: Path) -> Path:
    file = tmp_path / "strict.yaml"
    file.write_text("severity_threshold: low\ndrift: {removed: fail}  # stricter\n")
    return file


def test_a_policy_is_imported_shown_and_exported(strict: Path, tmp_path: Path) -> None:
    assert policy("import", str(strict)) == "Imported strict v1.\n"
    strict.write_text("only_new: true\n")
    assert policy("import", str(strict)) == "Imported strict v2.\n"
    shown = policy("show", "strict", "--version", "1")
    assert shown.startswith("# strict v1, 2")
    whole = policy_text.read(shown)
    assert whole.keys() == DEFAULT_DOCUMENT.keys()
    assert whole["severity_threshold"] == "low"
    assert whole["drift"] == {**DEFAULT_DOCUMENT["drift"], "removed": "fail"}
    first = policy("export", "strict", "--version=1")
    assert policy_text.read(first) == {
        "severity_threshold": "low",
        "drift": {"removed": "fail"},
    }
    assert policy("export", "strict") == "only_new: true\n"
    out = tmp_path / "out.yaml"
    assert policy("export", "strict", "--output", str(out)) == ""
    assert policy("import", str(out), "--name", "copy") == "Imported copy v1.\n"
    rows = json.loads(policy("list", "--json"))
    assert [(row["name"], row["version"]) for row in rows] == [
        ("copy", 1),
        ("default", 1),
        ("strict", 2),
    ]
    assert rows[2]["created_by"] == "command line"
    lines = policy("list").splitlines()
    assert lines[0].split() == ["NAME", "VERSION", "CREATED", "BY"]
    assert len(lines) == 4
    assert json.loads(policy("show", "copy", "--json"))["document"] == {
        "only_new": True
    }


def test_the_standard_input_is_read_under_a_name(monkeypatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"only_new: true"))
    monkeypatch.setattr("sys.stdin", stdin)
    assert policy("import", "-", "--name", "piped") == "Imported piped v1.\n"


@pytest.mark.parametrize("verb", ["show", "export"])
def test_what_is_not_there_is_exit_2(verb: str) -> None:
    for arguments in (["absent"], ["default", "--version", "7"]):
        with pytest.raises(CommandError) as refused:
            policy(verb, *arguments)
        assert refused.value.returncode == 2
        assert "policy list" in str(refused.value)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("severity_treshold: high", "unknown key: severity_treshold"),
        ("severity_threshold: worst", "unknown severity 'worst'"),
        ("drift: {added: panic}", "drift.added: must be one of"),
        ("a: &a [*a]", "anchors and aliases are not read (line 1"),
        ("- 1", "a policy is an object"),
        ("", "a policy is an object"),
        ("x" * 70_000, "at most 65536 bytes"),
    ],
)
def test_a_bad_file_is_exit_3_and_says_why(
    tmp_path: Path, capsys, text: str, why: str
) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(text)
    with pytest.raises(SystemExit) as exit_:
        Command().run_from_argv(["sentrascan", "policy", "import", str(file)])
    assert exit_.value.code == 3
    assert why in capsys.readouterr().err
    assert not Policy.objects.filter(name="p").exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["import"],
        ["import", "-"],
        ["import", "/no/such/file.yaml"],
        ["import", "/"],
        ["show"],
        ["show", "default", "--version", "0"],
        ["export", "default", "--format", "xml"],
    ],
    ids=" ".join,
)
def test_a_wrong_call_is_exit_3(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        Command(stderr=StringIO()).run_from_argv(["sentrascan", "policy", *arguments])
    assert exit_.value.code == 3
