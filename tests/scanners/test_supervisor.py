"""The process above a tool ends with the worker, with all that is below it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scanners import sandbox, supervisor
from scanners.sandbox import Rung

from .standin import alive, need, wait_for
from .test_runner import DAEMON


class Supervised:
    """A supervisor over a program of the test, started as the runner does."""

    def __init__(self, directory: Path, program: str, **settings: Any) -> None:
        self.token = f"token-{uuid.uuid4()}"
        scratch = directory / "scratch"
        scratch.mkdir()
        python = str(Path(sys.executable).resolve())
        job = sandbox.Job([python, "-I", "-S", "-c", program, self.token])
        job.rung = need(Rung.LANDLOCK)
        job.readable = [sys.base_prefix]
        job.scratch = job.working_directory = str(scratch)
        job.out, job.err = str(directory / "out"), str(directory / "err")
        for name, value in settings.items():
            setattr(job, name, value)
        boot = [sys.executable, "-I", "-S", "-c", sandbox.BOOT, sandbox.HOME]
        self.process = subprocess.Popen(
            [*boot, "supervisor", "main", *job.arguments()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def answer(self) -> dict[str, Any]:
        """Wait for the end by itself, the pipe being open all the while."""
        assert self.process.stdout is not None
        line = self.process.stdout.read()
        self.process.wait()
        result: dict[str, Any] = json.loads(line)
        return result

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Any]:
    made: list[Supervised] = []

    def start(program: str, **settings: Any) -> Supervised:
        made.append(Supervised(tmp_path, program, **settings))
        return made[-1]

    yield start
    for each in made:
        each.close()
        assert alive(each.token) == []


def test_it_answers_how_a_tool_ended_and_what_it_used(supervise: Any) -> None:
    answer = supervise("held = bytearray(50 << 20); raise SystemExit(5)").answer()
    assert answer["outcome"] == "exited"
    assert answer["exit_code"] == 5
    assert answer["max_rss_bytes"] > 50 << 20
    assert answer["cpu_seconds"] > 0


def test_it_counts_the_processor_time_of_children_too(supervise: Any) -> None:
    answer = supervise(
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    while time.process_time() < 0.3: pass\n"
        "else: os.wait()"
    ).answer()
    assert answer["cpu_seconds"] > 0.3


def test_the_end_of_its_input_is_the_end_of_the_tool(supervise: Any) -> None:
    run = supervise(DAEMON + "time.sleep(300)")
    assert wait_for(lambda: len(alive(run.token)) >= 3)
    run.process.stdin.close()
    assert run.answer()["outcome"] == "stopped"
    assert alive(run.token) == []


def test_it_outlives_a_terminal_and_a_service_manager(supervise: Any) -> None:
    run = supervise("import os, time; open('up', 'w').close(); time.sleep(1)")
    assert wait_for(lambda: len(alive(run.token)) >= 2)
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        run.process.send_signal(each)
    assert run.answer()["outcome"] == "exited"
    assert os.getsid(0) != run.process.pid


def test_a_tool_gets_its_signals_back(supervise: Any) -> None:
    answer = supervise(
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    ).answer()
    assert answer["exit_code"] == -signal.SIGTERM


def test_a_killed_supervisor_takes_its_tool_with_it(supervise: Any) -> None:
    run = supervise("import time; time.sleep(300)")
    assert wait_for(lambda: len(alive(run.token)) >= 2)
    run.process.kill()
    assert wait_for(lambda: alive(run.token) == [])


def test_a_tool_that_is_not_there_was_not_started(
    supervise: Any, tmp_path: Path
) -> None:
    run = supervise("", command=[str(tmp_path / "nothing")])
    answer = run.answer()
    assert answer["outcome"] == "not_confined"
    assert "No such file" in answer["detail"]


def test_a_sandbox_that_cannot_be_put_on_says_why(
    supervise: Any, tmp_path: Path
) -> None:
    answer = supervise("", readable=[str(tmp_path / 'a"b')]).answer()
    assert answer["outcome"] == "not_confined"
    assert "a?b" in answer["detail"]


def test_bubblewrap_that_fails_is_no_exit_of_the_tool(supervise: Any) -> None:
    need(Rung.BUBBLEWRAP)
    answer = supervise("", rung=Rung.BUBBLEWRAP, readable=["/dev/null/x"]).answer()
    assert answer["outcome"] == "not_confined"


def test_it_finds_children_where_the_kernel_does_not_list_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        monkeypatch.setattr(supervisor, "_HAS_CHILDREN", False)
        assert child.pid in supervisor._family()
    finally:
        child.communicate(b"\n")
