"""What is installed is known; what is missing says so; the real tools answer."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scanners import environments
from scanners.contract import ScannerMissing
from scanners.install import OWN_VERSION, PROJECT, install, installed
from scanners.runner import Tool
from tests.scanners.wheels import make_wheel

LAUNCH = PROJECT / "scanners" / "launch.py"


def launch(
    python: Path, *arguments: object, cwd: Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in (python, "-I", LAUNCH, *arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
    )


@pytest.fixture
def copy(tools: dict[str, Tool], tmp_path: Path) -> Path:
    """A directory of tools with mcp-checkpoint's marker and Python, nothing else."""
    home = tools["mcp-checkpoint"].python.parent.parent
    (tmp_path / "mcp-checkpoint" / "bin").mkdir(parents=True)
    shutil.copy(home / environments.MARKER, tmp_path / "mcp-checkpoint")
    (tmp_path / "mcp-checkpoint" / "bin" / "python").symlink_to(sys.executable)
    return tmp_path


def test_what_is_not_there_is_missing(tmp_path: Path):
    with pytest.raises(ScannerMissing, match="not installed; run make setup"):
        installed("modelaudit", tmp_path)


def test_what_has_no_lock_is_missing(tmp_path: Path):
    with pytest.raises(ScannerMissing, match="no lock"):
        installed("../modelaudit", tmp_path)


def test_a_finished_tool_is_installed(copy: Path):
    tool = installed("mcp-checkpoint", copy)
    assert tool.version == "2.1.1"
    assert tool.python == copy / "mcp-checkpoint" / "bin" / "python"


def test_a_tool_of_another_lock_is_missing(copy: Path):
    marker = copy / "mcp-checkpoint" / environments.MARKER
    marker.write_text(json.dumps(json.loads(marker.read_text()) | {"lock_sha256": "0"}))
    with pytest.raises(ScannerMissing, match="another lock"):
        installed("mcp-checkpoint", copy)


def test_a_tool_whose_python_is_gone_is_missing(copy: Path):
    python = copy / "mcp-checkpoint" / "bin" / "python"
    python.unlink()
    python.symlink_to(copy / "nothing")
    with pytest.raises(ScannerMissing, match="its Python is gone"):
        installed("mcp-checkpoint", copy)


def test_our_own_scanners_run_under_our_own_python(tmp_path: Path):
    tool = installed("sentrascan-files", tmp_path)
    assert tool.python == Path(sys.executable)
    assert tool.version == OWN_VERSION
    assert Path(sys.base_prefix).resolve() in tool.readable
    assert PROJECT / "scanners" in tool.readable
    assert PROJECT not in tool.readable


def test_a_tool_may_see_its_packages_its_python_and_the_launcher(tools):
    for tool in tools.values():
        assert tool.python.parent.parent in tool.readable
        assert LAUNCH in tool.readable
        real = tool.python.resolve()
        assert any(real.is_relative_to(place) for place in tool.readable)


def test_each_tool_is_of_the_pinned_version(tools):
    assert {name: tool.version for name, tool in tools.items()} == {
        "cisco-scanner": "4.8.7",
        "mcp-checkpoint": "2.1.1",
        "modelaudit": "0.2.54",
    }
    distributions = {
        "cisco-scanner": "cisco-ai-mcp-scanner",
        "mcp-checkpoint": "mcp-checkpoint",
        "modelaudit": "modelaudit",
    }
    for name, tool in tools.items():
        code = (
            f"import importlib.metadata as m; print(m.version({distributions[name]!r}))"
        )
        answer = subprocess.run(
            [tool.python, "-I", "-c", code], capture_output=True, text=True, check=True
        )
        assert answer.stdout.strip() == tool.version


def test_modelaudit_has_what_its_formats_need(tools):
    code = "import h5py, onnx, py7zr, safetensors, tflite"
    subprocess.run([tools["modelaudit"].python, "-I", "-c", code], check=True)


def test_mcp_checkpoint_runs_without_torch(tools, tmp_path: Path):
    python = tools["mcp-checkpoint"].python
    helped = launch(python, "mcp_checkpoint.cli:main", "--help", cwd=tmp_path)
    assert helped.returncode == 0, helped.stderr
    assert "inspect" in helped.stdout
    code = (
        "import importlib.util, transformers\n"
        "assert importlib.util.find_spec('torch') is None\n"
        "try:\n    transformers.pipeline('text-classification')\n"
        "except OSError as error:\n    print(error)"
    )
    answer = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True)
    assert answer.stdout == "no language model in this installation\n", answer.stderr


def test_tools_have_no_installer_that_they_do_not_need(tools):
    for name in ("modelaudit", "mcp-checkpoint"):
        found = subprocess.run([tools[name].python, "-I", "-m", "pip"], check=False)
        assert found.returncode != 0


def test_install_leaves_alone_what_is_there(tools):
    home = tools["mcp-checkpoint"].python.parent.parent
    before = home.stat().st_ino
    assert install("mcp-checkpoint", home.parent) == tools["mcp-checkpoint"]
    assert home.stat().st_ino == before


def test_the_installer_says_in_one_line_what_is_wrong(tmp_path: Path):
    make_wheel(tmp_path / "wheels", "toolbox", "1.0", "")
    asked = subprocess.run(
        [
            *(sys.executable, "-m", "scanners.install"),
            *("--dir", tmp_path / "scanners", "--wheels", tmp_path / "wheels"),
            "mcp-checkpoint",
        ],
        capture_output=True,
        text=True,
        cwd=PROJECT,
    )
    assert asked.returncode == 1
    assert asked.stderr.startswith("mcp-checkpoint: the package registry")
    assert asked.stderr.count("\n") == 1
    assert not (tmp_path / "scanners" / "mcp-checkpoint").exists()


def test_the_launcher_calls_as_a_console_script_does(tmp_path: Path):
    (tmp_path / "compileall.py").write_text(
        "raise SystemExit('the working directory!')"
    )
    python = Path(sys.executable)
    done = launch(python, "compileall:main", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("usage: compileall [-h]")
    # What the function returns is the exit code, as setuptools' scripts have it.
    done = launch(python, "compileall:main", "-q", tmp_path / "nothing", cwd=tmp_path)
    assert done.returncode == 1


def test_the_launcher_finds_our_package_and_not_the_project(tmp_path: Path):
    python = Path(sys.executable)
    code = launch(python, "scanners.environments:tool_names", cwd=tmp_path)
    # sys.exit() prints what is no number, as it would for any console script.
    assert "modelaudit" in code.stderr
    assert code.returncode == 1
    other = launch(python, "scans.choices:main", cwd=tmp_path)
    assert "No module named 'scans'" in other.stderr
