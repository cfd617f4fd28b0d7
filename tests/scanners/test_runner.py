"""A run ends when it must, says why, and leaves neither a process nor a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scanners import runner
from scanners.contract import (
    Completed,
    Report,
    ScannerError,
    ScannerMissing,
    ScannerTimeout,
    ScanStopped,
    Target,
)
from scanners.sandbox import Rung

from .standin import SMALL, Stage, StandIn, alive, need, strongest, wait_for

# A daemon in a session of its own, which no signal to a group reaches.
DAEMON = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        open("daemon", "w").close()
        time.sleep(300)
    os._exit(0)
while not os.path.exists("daemon"):
    time.sleep(0.01)
"""


@pytest.fixture(scope="module", params=["cold", "warm"])
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("stage"), is_warm=request.param == "warm")
    yield stage
    stage.close()


@pytest.fixture(params=list(Rung), ids=str)
def rung(request: pytest.FixtureRequest) -> Rung:
    return need(request.param)


@pytest.fixture
def token(stage: Stage) -> Iterator[str]:
    """An argument that marks a run's processes; none is left, and no file."""
    token = f"token-{uuid.uuid4()}"
    yield token
    assert stage.alive(token) == []
    assert list(stage.run_dir.iterdir()) == []


def test_it_hands_the_tool_its_files_and_reads_its_outputs(
    stage: Stage, rung: Rung, token: str
) -> None:
    completed = stage.perform(
        "import os, sys\n"
        "os.makedirs('logs')\n"
        "open('logs/a.json', 'w').write(' '.join(sys.argv[1:]))\n"
        "print('said'); print('complained', file=sys.stderr); sys.exit(3)",
        "{scratch}/x",
        token,
        rung=rung,
        outputs=("logs/a.json", "absent.json"),
    )
    assert completed.exit_code == 3
    assert (completed.stdout, completed.stderr) == (b"said\n", b"complained\n")
    [(name, content)] = completed.outputs.items()
    assert name == "logs/a.json"
    assert content.endswith(f"/scratch/x {token}".encode())
    assert content.startswith(bytes(stage.run_dir))


def test_it_runs_as_nobody_where_nobody_can_read_it_all(stage: Stage) -> None:
    if os.geteuid():
        pytest.skip("only root can become somebody else")
    show = "import os; print(os.getuid())"
    rung = need(Rung.BUBBLEWRAP)
    assert stage.perform(show, rung=rung).stdout == b"65534\n"
    private = stage.target.root / "private"
    private.write_bytes(b"")
    private.chmod(0o600)
    try:
        read = show + "; open(os.path.join(__import__('sys').argv[1], 'private'))"
        done = stage.perform(read, str(stage.target.root), rung=rung)
        assert (done.stdout, done.stderr) == (b"0\n", b"")
    finally:
        private.unlink()


def test_it_tells_a_signal_from_an_exit_code(stage: Stage, rung: Rung) -> None:
    completed = stage.perform(
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", rung=rung
    )
    assert completed.exit_code == -signal.SIGSEGV


def test_a_sleeping_tool_is_ended_with_all_that_it_started(
    stage: Stage, rung: Rung, token: str
) -> None:
    limits = replace(SMALL, wall_seconds=1.5)
    with pytest.raises(ScannerTimeout, match=r"stand-in ran over its 1\.5 s"):
        stage.perform(DAEMON + "time.sleep(300)", token, rung=rung, limits=limits)


def test_a_daemon_does_not_outlive_its_tool(
    stage: Stage, rung: Rung, token: str
) -> None:
    assert stage.perform(DAEMON, token, rung=rung).exit_code == 0


def test_a_fork_bomb_is_ended(stage: Stage, rung: Rung, token: str) -> None:
    """2 ** 8 processes at the most, should the runner not end it."""
    with pytest.raises(ScannerError, match="it started more than 16 processes"):
        stage.perform(
            "import os, time\nfor _ in range(8):\n    os.fork()\ntime.sleep(300)",
            token,
            rung=rung,
        )


def test_a_thread_bomb_is_ended(stage: Stage, token: str) -> None:
    with pytest.raises(ScannerError, match="processes"):
        stage.perform(
            "import threading, time\n"
            "threading.stack_size(65536)\n"
            "for _ in range(200):\n"
            "    threading.Thread(target=time.sleep, args=(300,)).start()\n",
            token,
            rung=strongest(),
        )


def test_a_memory_bomb_is_ended(stage: Stage, rung: Rung, token: str) -> None:
    """Each process alone is within the limit."""
    with pytest.raises(ScannerError, match=r"it used more than 0\.2 GB of memory"):
        stage.perform(
            "import os, time\n"
            "for _ in range(3):\n"
            "    if os.fork() == 0: break\n"
            "held = b'x' * (100 << 20)\n"
            "time.sleep(300)",
            token,
            rung=rung,
        )


def test_memory_that_processes_share_counts_once(stage: Stage, token: str) -> None:
    completed = stage.perform(
        "import os, time\n"
        "held = b'x' * (100 << 20)\n"
        "children = []\n"
        "for _ in range(3):\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        time.sleep(0.4); os._exit(0)\n"
        "    children.append(pid)\n"
        "for each in children: os.waitpid(each, 0)\n"
        "print('done')",
        token,
        rung=strongest(),
    )
    assert completed.stdout == b"done\n"


def test_one_huge_allocation_fails_in_the_tool(stage: Stage, rung: Rung) -> None:
    completed = stage.perform("bytearray(4 << 30)", rung=rung)
    assert completed.exit_code == 1
    assert b"MemoryError" in completed.stderr


def test_a_busy_tool_is_ended_by_its_processor_time(stage: Stage, token: str) -> None:
    limits = replace(SMALL, cpu_seconds=1)
    with pytest.raises(ScannerError, match="more than 1 s of processor time"):
        stage.perform("while True: pass", token, rung=strongest(), limits=limits)


def test_a_stop_ends_the_tool(stage: Stage, rung: Rung, token: str) -> None:
    stop = threading.Event()
    seen: list[bool] = []

    def stop_when_it_runs() -> None:
        seen.append(wait_for(lambda: len(stage.alive(token)) > 1))
        stop.set()

    watcher = threading.Thread(target=stop_when_it_runs)
    watcher.start()
    with pytest.raises(ScanStopped):
        stage.perform(DAEMON + "time.sleep(300)", token, rung=rung, stop=stop)
    assert stage.alive(token) == []
    watcher.join()
    assert seen == [True]


def test_a_stopped_scan_starts_nothing(stage: Stage, token: str) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(ScanStopped):
        stage.perform("raise SystemExit(1)", token, rung=strongest(), stop=stop)


class TimeLimitReached(BaseException):
    pass


class InterruptingStop(threading.Event):
    """What a time limit of the queue does: something flies in the caller's thread."""

    def __init__(self, is_time: Callable[[], bool]) -> None:
        super().__init__()
        self.is_time = is_time

    def is_set(self) -> bool:
        if self.is_time():
            raise TimeLimitReached
        return False


def test_an_interrupted_caller_leaves_nothing(
    stage: Stage, rung: Rung, token: str
) -> None:
    stop = InterruptingStop(lambda: len(stage.alive(token)) > 1)
    with pytest.raises(TimeLimitReached):
        stage.perform(DAEMON + "time.sleep(300)", token, rung=rung, stop=stop)


CALLER = """
import sys
from pathlib import Path
from scanners.sandbox import Rung
from tests.scanners.standin import Stage
stage = Stage(Path(sys.argv[1]), is_warm=sys.argv[5] == "warm")
stage.perform(sys.argv[4], sys.argv[2], rung=Rung(sys.argv[3]))
"""


@pytest.mark.parametrize("way", ["cold", "warm"])
def test_nothing_outlives_a_killed_caller(tmp_path: Path, rung: Rung, way: str) -> None:
    token = f"token-{uuid.uuid4()}"
    caller = subprocess.Popen(
        [
            sys.executable,
            "-c",
            CALLER,
            str(tmp_path),
            token,
            rung,
            DAEMON + "time.sleep(300)",
            way,
        ],
        cwd=Path(__file__).parents[2],
    )
    try:
        # the caller, its supervisor, the tool, the daemon, and the host if there is one
        most = 4 + (way == "warm")
        assert wait_for(lambda: len(alive(token, str(tmp_path))) >= most)
    finally:
        caller.kill()
        caller.wait()
    assert wait_for(lambda: alive(token, str(tmp_path)) == [])


def test_threads_run_tools_side_by_side(stage: Stage) -> None:
    said: dict[int, bytes] = {}

    def perform(number: int) -> None:
        program = f"import time; time.sleep(0.2); print({number})"
        said[number] = stage.perform(program, rung=strongest()).stdout

    threads = [threading.Thread(target=perform, args=(number,)) for number in range(12)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert said == {number: f"{number}\n".encode() for number in range(12)}


def test_a_tool_cannot_answer_for_the_supervisor(stage: Stage, rung: Rung) -> None:
    line = '{"outcome": "exited", "exit_code": 0}'
    completed = stage.perform(
        f"import sys; print({line!r}); print({line!r}, file=sys.stderr); sys.exit(7)",
        rung=rung,
    )
    assert completed.exit_code == 7


class Careless(StandIn):
    def parse(self, target: Target, completed: Completed) -> Report:
        raise KeyError(completed.stdout)


def test_an_unreadable_report_is_no_answer(stage: Stage) -> None:
    with pytest.raises(
        ScannerError, match=r"cannot be read \(KeyError\).*\?\[31mred"
    ) as error:
        runner.run(
            Careless("print('x' * 5000 + '\\x1b[31mred')"),
            stage.tool,
            stage.target,
            limits=SMALL,
            rung=strongest(),
            run_dir=stage.run_dir,
            stop=threading.Event(),
        )
    assert len(str(error.value)) < 2200


def test_a_tool_without_its_python_is_missing(stage: Stage) -> None:
    tool = replace(stage.tool, python=stage.directory / "nowhere" / "python")
    with pytest.raises(ScannerMissing):
        runner.run(
            StandIn(""),
            tool,
            stage.target,
            limits=SMALL,
            rung=strongest(),
            run_dir=stage.run_dir,
            stop=threading.Event(),
        )


def test_a_run_reports_how_long_it_took(stage: Stage) -> None:
    before = time.monotonic()
    finished = runner.run(
        StandIn("import time; time.sleep(0.2)"),
        stage.tool,
        stage.target,
        limits=SMALL,
        rung=strongest(),
        run_dir=stage.run_dir,
        stop=threading.Event(),
    )
    assert 200 <= finished.duration_ms <= (time.monotonic() - before) * 1000 + 1
