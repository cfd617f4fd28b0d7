"""`make setup`: which Python it takes, and what it leaves behind."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import PROJECT

FIND = PROJECT / "deploy" / "find-python.sh"


def run(*command: object, cwd: Path = PROJECT, **environment: str):
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | environment,
    )


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_the_python_that_is_named_comes_first():
    found = run(FIND, SENTRASCAN_PYTHON=sys.executable)
    assert found.stdout == f"{sys.executable}\n"


def test_a_python_that_is_too_old_is_passed_over(tmp_path: Path):
    # What pyenv does where .python-version asks for what it does not have.
    old = program(tmp_path / "python3", "#!/bin/sh\necho /old/python3\nexit 1\n")
    good = tmp_path / "python3.12"
    good.symlink_to(sys.executable)
    path = f"{old.parent}:/usr/bin:/bin"
    found = run(FIND, PATH=path, PYENV_ROOT=str(tmp_path), SENTRASCAN_PYTHON="")
    assert found.returncode == 0
    assert found.stdout.strip() != "/old/python3"
    asked = run(
        found.stdout.strip(), "-c", "import sys; print(sys.version_info >= (3,12))"
    )
    assert asked.stdout == "True\n"


@pytest.mark.skipif(
    bool(list(Path("/usr/bin").glob("python3.1[23]")))
    or bool(list(Path("/usr/local/bin").glob("python3.1[23]"))),
    reason="this system's own Python is new enough",
)
def test_no_python_is_one_line_of_advice(tmp_path: Path):
    program(tmp_path / "python3", "#!/bin/sh\nexit 1\n")
    program(tmp_path / "python3.12", "#!/bin/sh\nexit 1\n")
    program(tmp_path / "python3.13", "#!/bin/sh\nexit 1\n")
    path = f"{tmp_path}:/usr/bin:/bin"
    found = run(FIND, PATH=path, PYENV_ROOT=str(tmp_path), SENTRASCAN_PYTHON="")
    assert found.returncode == 1
    assert found.stdout == ""
    assert found.stderr.count("\n") == 1
    assert "apt-get install" in found.stderr


def test_a_second_set_up_installs_nothing(tools):
    done = run(sys.executable, PROJECT / "deploy" / "setup.py")
    assert done.returncode == 0, done.stderr
    assert "installing" not in done.stdout
    assert done.stdout.count("\n") == 1


def test_the_command_works_from_any_directory_and_imports_nothing_there(tmp_path: Path):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "__init__.py").write_text("raise SystemExit('not ours')")
    link = tmp_path / "sentrascan"
    link.symlink_to(PROJECT / ".venv" / "bin" / "sentrascan")
    for command in (link, link.resolve()):
        done = run(command, "version", cwd=tmp_path)
        assert "not ours" not in done.stdout + done.stderr
        assert done.returncode == 0, done.stderr


def test_a_broken_environment_of_a_tool_is_one_line_without_a_registry(tmp_path: Path):
    done = run(
        sys.executable,
        PROJECT / "deploy" / "setup.py",
        SENTRASCAN_SCANNERS_DIR=str(tmp_path / "scanners"),
        SENTRASCAN_WHEELS=str(tmp_path / "no wheels"),
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("set-up failed: ")
    assert "SENTRASCAN_WHEELS" in done.stderr
    assert not list((tmp_path / "scanners").glob("*/installed.json"))
