"""The `sentrascan` command as a shell sees it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.running import ROOT, environment, sentrascan


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path / "data")


def test_it_lists_our_commands_when_called_alone(env: dict[str, str]) -> None:
    result = sentrascan(env=env)
    assert result.returncode == 0
    for name in ("scan", "doctor", "auth", "user", "prune", "serve", "worker"):
        assert re.search(rf"^  {name} +\w", result.stdout, re.MULTILINE)
    assert sentrascan("--help", env=env).stdout == result.stdout


def test_every_listed_command_exists(env: dict[str, str]) -> None:
    listed = re.findall(r"^  (\w+)  ", sentrascan(env=env).stdout, re.MULTILINE)
    assert len(listed) > 5
    for name in listed:
        assert sentrascan(name, "--help", env=env).returncode == 0


def test_it_prints_its_version(env: dict[str, str]) -> None:
    result = sentrascan("--version", env=env)
    assert re.fullmatch(r"sentrascan \d+\.\d+\.\d+\n", result.stdout)


def test_it_suggests_the_command_that_was_meant(env: dict[str, str]) -> None:
    result = sentrascan("docter", env=env)
    assert result.returncode == 3
    assert "Did you mean 'doctor'?" in result.stderr


def test_wrong_usage_exits_3(env: dict[str, str]) -> None:
    for arguments in (["scan"], ["prune"], ["user"], ["doctor", "--nope"]):
        result = sentrascan(*arguments, env=env)
        assert result.returncode == 3, arguments
        assert "Traceback" not in result.stderr


def test_a_wrong_setting_gets_one_line(env: dict[str, str]) -> None:
    result = sentrascan("doctor", env=env | {"SENTRASCAN_SANDBOX": "maybe"})
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "SENTRASCAN_SANDBOX" in result.stderr


def test_the_unexpected_exits_2_in_one_line_and_in_full_on_demand(
    env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")
    result = sentrascan("check", env=env)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "Traceback" in sentrascan("check", "--traceback", env=env).stderr


def test_it_speaks_utf8_whatever_the_locale(
    env: dict[str, str], tmp_path: Path
) -> None:
    plain = env | {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    result = subprocess.run(
        [sys.executable, ROOT / "manage.py", "scan", tmp_path / "grüße"],
        env=plain,
        capture_output=True,
        check=False,
    )
    assert result.returncode == 3
    assert "grüße" in result.stderr.decode("utf-8")


def test_modules_in_the_working_directory_are_not_imported(
    env: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "stranger"
    folder.mkdir()
    for name in ("httpx", "rich", "kombu", "yaml", "orjson"):
        (folder / f"{name}.py").write_text(f"open('was-here-{name}', 'w')\n")
    sentrascan("scan", ".", "--server", "http://127.0.0.1:9", env=env, cwd=folder)
    sentrascan("doctor", "--help", env=env, cwd=folder)
    assert not list(folder.glob("was-here-*"))
