"""Environments are built whole or not at all, and noticed when they are damaged."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from scanners import environments
from scanners.environments import Recipe, SetupError, build, flaw, read_marker
from tests.scanners.wheels import make_recipe

PIP = Path(sys.executable)
# A build in a process of its own, to be killed.
BUILD = """
import sys
from pathlib import Path
from scanners.environments import Recipe, build, flaw, locked, sweep
home, lock, wheels = map(Path, sys.argv[1:])
with locked(home.with_name("lock")):
    sweep(home)
    recipe = Recipe("toolbox", lock)
    if flaw(home, recipe):
        wheels = str(wheels) if wheels.exists() else ""
        build(home, recipe, pip=Path(sys.executable), wheels=wheels)
        print("built")
"""


def make(home: Path, recipe: Recipe) -> None:
    build(home, recipe, pip=PIP, wheels=str(recipe.lock.parent / "wheels"))


def said(home: Path) -> str:
    command = [home / "bin" / "toolbox"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Recipe]:
    """One environment, built once, for the tests that copy and damage it."""
    folder = tmp_path_factory.mktemp("prepared")
    recipe = make_recipe(folder)
    make(folder / "toolbox", recipe)
    return folder / "toolbox", recipe


@pytest.fixture
def home(prepared: tuple[Path, Recipe]) -> Path:
    """The prepared environment, put back after the test as it was."""
    place, _recipe = prepared
    kept = place.with_name("kept")
    shutil.copytree(place, kept, symlinks=True)
    yield place
    shutil.rmtree(place)
    kept.rename(place)


def test_a_built_environment_runs_and_is_without_flaw(prepared):
    home, recipe = prepared
    assert flaw(home, recipe) == ""
    assert said(home) == "toolbox 1.0\n"
    assert not (home / "bin" / "pip").exists()
    assert list(home.rglob("site-packages/__pycache__/toolbox.*.pyc"))
    assert home.stat().st_mode & 0o777 == 0o755


def test_nothing_in_it_names_the_place_where_it_was_built(prepared):
    home, _recipe = prepared
    for path in [*(home / "bin").iterdir(), home / "pyvenv.cfg"]:
        if not path.is_symlink():
            assert ".partial-" not in path.read_text(), path


DAMAGES = {
    "not installed": lambda home: (home / "installed.json").write_text("{"),
    "its Python is gone": lambda home: (home / "bin" / "python").unlink(),
    "toolbox.py is gone": lambda home: next(home.rglob("toolbox.py")).unlink(),
    "toolbox.py is not as installed": lambda home: next(
        home.rglob("toolbox.py")
    ).write_text("x"),
    "toolbox-1.0.dist-info is gone": lambda home: shutil.rmtree(
        next(home.rglob("toolbox-1.0.dist-info"))
    ),
}


@pytest.mark.parametrize("reason", DAMAGES)
def test_a_damaged_environment_is_noticed(prepared, home, reason):
    DAMAGES[reason](home)
    assert flaw(home, prepared[1]) == reason


def test_an_environment_without_its_marker_is_not_finished(prepared, home):
    (home / "installed.json").unlink()
    assert flaw(home, prepared[1]) == "not installed"


def test_a_changed_lock_is_noticed_and_replaces_what_is_there(tmp_path: Path):
    make(tmp_path / "home", make_recipe(tmp_path))
    recipe = make_recipe(tmp_path, version="2.0")
    assert flaw(tmp_path / "home", recipe) == "its lock has changed"
    make(tmp_path / "home", recipe)
    assert flaw(tmp_path / "home", recipe) == ""
    assert said(tmp_path / "home") == "toolbox 2.0\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "home",
        "toolbox.txt",
        "wheels",
    ]


def test_a_link_is_replaced_and_what_it_leads_to_is_not_touched(prepared, tmp_path):
    place = tmp_path / "envs"
    place.mkdir()
    old, gone = place / "toolbox", place / ".toolbox.partial-old-7"
    for link in (old, gone):
        link.symlink_to(prepared[0])
    make(old, prepared[1])
    assert [path.name for path in place.iterdir()] == ["toolbox"]
    assert not old.is_symlink()
    assert said(old) == "toolbox 1.0\n"
    assert flaw(*prepared) == ""


def test_a_moved_environment_is_noticed(prepared, tmp_path: Path):
    home, recipe = prepared
    shutil.copytree(home, tmp_path / "elsewhere", symlinks=True)
    assert flaw(tmp_path / "elsewhere", recipe) == "it was moved here"


def test_a_failed_build_leaves_the_old_environment_in_place(prepared, home):
    wrong = make_recipe(prepared[1].lock.parent / "wrong", digest="0" * 64)
    with pytest.raises(SetupError, match="does not match its pinned hash"):
        make(home, wrong)
    assert flaw(home, prepared[1]) == ""
    assert list(home.parent.glob(".*partial*")) == []


def test_an_unreachable_registry_is_one_line_of_advice(tmp_path: Path, monkeypatch):
    recipe = make_recipe(tmp_path)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_FIND_LINKS", "")
        monkeypatch.setenv("PIP_RETRIES", "0")
        monkeypatch.setenv(
            "PIP_INDEX_URL", f"http://127.0.0.1:{closed.getsockname()[1]}/simple"
        )
        with pytest.raises(SetupError) as raised:
            build(tmp_path / "home", recipe, pip=PIP)
    assert str(raised.value).startswith("toolbox: the package registry cannot be")
    assert "SENTRASCAN_WHEELS" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("where", ["/dev/full/x", "/proc/nothing/x"])
def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, where: str):
    with pytest.raises(SetupError) as raised:
        make(Path(where), make_recipe(tmp_path))
    assert "\n" not in str(raised.value)


def test_a_full_disk_is_one_line_of_advice():
    log = "ERROR: Could not install packages\n[Errno 28] No space left on device: 'x'"
    assert environments.advice(log, "modelaudit") == (
        "modelaudit: the disk is full. Free about 2 GB and run make setup again."
    )


def test_a_killed_build_is_repaired_by_the_next(tmp_path: Path):
    recipe, home = make_recipe(tmp_path), tmp_path / "home"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = {
            **os.environ,
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_FIND_LINKS": "",
            "PIP_RETRIES": "0",
            "PIP_INDEX_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/simple",
        }
        command = [sys.executable, "-c", BUILD, home, recipe.lock, tmp_path / "none"]
        with subprocess.Popen(command, env=environment) as process:
            connection, _address = silent.accept()  # pip is at work now
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert not home.exists()
        assert list(tmp_path.glob(".home.partial-*"))
        connection.close()
    environments.sweep(home)
    make(home, recipe)
    assert flaw(home, recipe) == ""
    assert said(home) == "toolbox 1.0\n"


def test_stopping_ends_pip_and_its_children(tmp_path: Path):
    recipe = make_recipe(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        script = (
            "import signal, sys, threading\nfrom pathlib import Path\n"
            "from scanners import environments as e\n"
            "signal.signal(signal.SIGTERM, lambda *_: e.stop_installing())\n"
            f"recipe = e.Recipe('toolbox', Path({str(recipe.lock)!r}))\n"
            "e.build(Path(sys.argv[1]), recipe, pip=Path(sys.executable))\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", script, tmp_path / "home"],
            stderr=subprocess.PIPE,
            env={
                **os.environ,
                "PIP_CONFIG_FILE": os.devnull,
                "PIP_FIND_LINKS": "",
                "PIP_INDEX_URL": url,
            },
        )
        connection, _address = silent.accept()
        process.send_signal(signal.SIGTERM)
        process.communicate()
        connection.settimeout(30)
        # pip's own end of the line closes with pip, wherever it ran.
        while connection.recv(4096):
            pass
        connection.close()
    assert process.returncode == 1
    assert list(tmp_path.glob(".home.partial-*")) == []


def test_two_set_ups_at_once_build_once(tmp_path: Path):
    recipe, home = make_recipe(tmp_path), tmp_path / "home"
    command = [sys.executable, "-c", BUILD, home, recipe.lock, tmp_path / "wheels"]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    answers = sorted(process.communicate()[0] for process in both)
    assert answers == ["", "built\n"]
    assert [process.returncode for process in both] == [0, 0]
    assert flaw(home, recipe) == ""


def test_who_waits_for_a_lock_is_told_so(tmp_path: Path):
    told = threading.Event()
    order: list[str] = []

    def wait_behind() -> None:
        with environments.locked(tmp_path / "lock", told.set):
            order.append("second")

    with environments.locked(tmp_path / "lock"):
        second = threading.Thread(target=wait_behind)
        second.start()
        assert told.wait(30)
        time.sleep(0.05)
        order.append("first")
    second.join(30)
    assert order == ["first", "second"]


def test_progress_is_counted_in_packages(tmp_path: Path):
    steps: list[tuple[int, int]] = []
    build(
        tmp_path / "home",
        make_recipe(tmp_path),
        pip=PIP,
        wheels=str(tmp_path / "wheels"),
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps[-1] == (1, 1)


def test_the_marker_says_what_was_installed(prepared):
    home, recipe = prepared
    marker = read_marker(home)
    assert marker["lock_sha256"] == recipe.digest
    assert marker["packages"] == "toolbox-1.0.dist-info"
    assert marker["base_prefix"] == sys.base_prefix
