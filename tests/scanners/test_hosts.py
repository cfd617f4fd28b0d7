"""Warm hosts: as good as a new process, and never worse than none."""

from __future__ import annotations

import copy
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scanners import hosts, runner, sandbox
from scanners.contract import Command, ScannerMissing, Target
from scanners.hosts import Hosts
from scanners.runner import Tool
from scanners.sandbox import Rung
from scanners.scratch import Scratch

from .standin import (
    SMALL,
    Stage,
    StandIn,
    alive,
    install,
    need,
    strongest,
    wait_for,
)

IS_WARM = "import sys; print('scanners.warm_host' in sys.modules)"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("stage"), is_warm=True)
    yield stage
    assert stage.alive(str(stage.directory)) == []
    stage.close()
    assert alive(str(stage.directory)) == []


@pytest.fixture
def keep(stage: Stage) -> Iterator[Callable[..., Hosts]]:
    """Keep a host of one's own for a tool, and end it."""
    made: list[Hosts] = []

    def keep(tool_of: Callable[[str], Tool], scans: int = hosts.SCANS) -> Hosts:
        place = stage.directory / f"own-{len(made)}-{time.monotonic_ns()}"
        made.append(Hosts(place, [StandIn("")], tool_of, strongest(), scans))
        made[-1].start()
        return made[-1]

    yield keep
    for each in made:
        each.stop()


def perform(stage: Stage, host: Hosts, tool: Tool, scanner: StandIn | str) -> str:
    """Return what a scanner, or the stand-in with this program, wrote by `host`."""
    if isinstance(scanner, str):
        scanner = StandIn(scanner)
    runner.run(
        scanner,
        tool,
        stage.target,
        limits=SMALL,
        rung=strongest(),
        run_dir=stage.run_dir,
        stop=threading.Event(),
        supervise=hosts.supervise_in(host.directory, scanner.name, tool),
    )
    return scanner.completed.stdout.decode()


def is_ready(host: Hosts) -> bool:
    return host.states() == {"stand-in": hosts.WARM}


def test_a_host_does_the_scan(stage: Stage) -> None:
    assert stage.perform(IS_WARM, rung=strongest()).stdout == b"True\n"


POISON = """
import builtins, os, random, sys
sys.setrecursionlimit(50_000)
os.environ["POISON"] = "1"
random.seed(1)
sys.path.insert(0, os.getcwd())
sys.meta_path.clear()
for module in list(sys.modules.values()):
    if module in (builtins, sys):
        continue
    for name in list(vars(module)):
        if name not in ("__name__", "__dict__", "__class__"):
            vars(module)[name] = "poison"
builtins.open = builtins.print = builtins.len = None
os = sys = None
"""

LOOK = """
import builtins, json, os, random, sys
poisoned = [
    name for name, module in sys.modules.items()
    if any(value == "poison" for value in list(vars(module).values())
           if isinstance(value, str))
]
print(json.dumps([poisoned, "POISON" in os.environ, sys.getrecursionlimit(),
                  len(sys.meta_path) > 0, os.getcwd() in sys.path]))
"""


def test_a_scan_that_poisons_every_module_leaves_the_next_one_clean(
    stage: Stage,
) -> None:
    before = stage.perform(LOOK, rung=strongest())
    stage.perform(POISON, rung=strongest())
    after = stage.perform(LOOK, rung=strongest())
    assert after.stdout == before.stdout
    assert after.stdout.startswith(b"[[], false, 1000, true, false]")


def test_two_scans_share_neither_random_numbers_nor_folders(stage: Stage) -> None:
    show = "import random, tempfile; print(random.random(), tempfile.gettempdir())"
    first, second = (stage.perform(show, rung=strongest()).stdout for _ in "ab")
    assert first.split()[0] != second.split()[0]
    assert first.split()[1] != second.split()[1]
    assert bytes(stage.run_dir) in first


def test_a_killed_host_is_cold_for_a_moment_and_warm_again(
    stage: Stage, keep: Callable[..., Hosts]
) -> None:
    may_start = threading.Event()
    may_start.set()

    def tool_of(name: str) -> Tool:
        may_start.wait(60)
        return stage.tool

    host = keep(tool_of)
    assert wait_for(lambda: is_ready(host))
    assert perform(stage, host, stage.tool, IS_WARM) == "True\n"
    first = host.processes()["stand-in"]
    may_start.clear()
    os.kill(first, signal.SIGKILL)
    assert wait_for(lambda: not Path(f"/proc/{first}/exe").exists())
    assert perform(stage, host, stage.tool, IS_WARM) == "False\n"
    may_start.set()
    assert wait_for(lambda: host.processes().get("stand-in", first) != first)
    assert perform(stage, host, stage.tool, IS_WARM) == "True\n"


def test_a_host_that_stands_still_is_cold_once_and_makes_room(
    stage: Stage, keep: Callable[..., Hosts], monkeypatch: pytest.MonkeyPatch
) -> None:
    host = keep(lambda name: stage.tool)
    assert wait_for(lambda: is_ready(host))
    first = host.processes()["stand-in"]
    os.kill(first, signal.SIGSTOP)
    monkeypatch.setattr(hosts, "_HELLO_SECONDS", 0.2)
    assert perform(stage, host, stage.tool, IS_WARM) == "False\n"
    monkeypatch.undo()
    assert wait_for(lambda: host.processes().get("stand-in", first) != first)
    assert not Path(f"/proc/{first}").exists()
    assert perform(stage, host, stage.tool, IS_WARM) == "True\n"


def test_a_host_makes_room_for_a_fresh_one_after_its_scans(
    stage: Stage, keep: Callable[..., Hosts]
) -> None:
    host = keep(lambda name: stage.tool, scans=4)
    assert wait_for(lambda: is_ready(host))
    first = host.processes()["stand-in"]
    for _ in range(4):
        assert perform(stage, host, stage.tool, "print('did')") == "did\n"
    assert wait_for(lambda: host.processes().get("stand-in", first) != first)
    assert is_ready(host)


def test_a_tool_with_another_lock_gets_another_host(
    stage: Stage, keep: Callable[..., Hosts]
) -> None:
    installed = [stage.tool]
    host = keep(lambda name: installed[0])
    assert wait_for(lambda: is_ready(host))
    first = host.processes()["stand-in"]
    another = replace(stage.tool, lock_digest="another")
    # the old host is none of the new tool's
    assert perform(stage, host, another, IS_WARM) == "False\n"
    installed[0] = another
    assert wait_for(lambda: host.processes().get("stand-in", first) != first)
    assert perform(stage, host, installed[0], IS_WARM) == "True\n"
    assert perform(stage, host, stage.tool, IS_WARM) == "False\n"


class Otherwise(StandIn):
    """As the stand-in, with another environment than its host was started in."""

    def command(self, target: Target) -> Command:
        return replace(super().command(target), environment={"STAND_IN": "2"})


def test_a_call_with_another_environment_is_not_for_this_host(stage: Stage) -> None:
    host = stage.host(strongest())
    assert perform(stage, host, stage.tool, IS_WARM) == "True\n"
    assert perform(stage, host, stage.tool, Otherwise(IS_WARM)) == "False\n"


def test_a_tool_that_is_gone_has_no_host(
    stage: Stage, keep: Callable[..., Hosts]
) -> None:
    def gone(name: str) -> Tool:
        raise ScannerMissing("not installed; run make setup")

    host = keep(gone)
    assert wait_for(lambda: "not installed" in host.states()["stand-in"])
    assert host.processes() == {}


def tampered(stage: Stage, name: str, code: str) -> Tool:
    """Return a stand-in of its own whose module does `code` when it is imported."""
    directory = stage.directory / name
    tool = install(directory)
    [module] = directory.glob("lib/*/site-packages/standin_tool.py")
    module.write_text(code + module.read_text())
    return tool


def test_a_tool_that_starts_a_thread_when_imported_stays_cold(
    stage: Stage, keep: Callable[..., Hosts]
) -> None:
    code = (
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    tool = tampered(stage, "threaded", code)
    host = keep(lambda name: tool)
    assert wait_for(lambda: "2 threads" in host.states()["stand-in"]), host.states()
    assert perform(stage, host, tool, IS_WARM) == "False\n"


def test_a_host_has_no_network(stage: Stage, keep: Callable[..., Hosts]) -> None:
    code = (
        "import socket\n"
        "answers = []\n"
        "for kind in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):\n"
        "    try: answers.append(repr(socket.socket(kind)))\n"
        "    except PermissionError: answers.append('refused')\n"
    )
    tool = tampered(stage, "curious", code)
    host = keep(lambda name: tool)
    assert wait_for(lambda: is_ready(host)), host.states()
    said = perform(stage, host, tool, "import standin_tool as t; print(t.answers)")
    assert said == "['refused', 'refused', 'refused']\n"


@pytest.mark.parametrize("rung", list(Rung), ids=str)
def test_a_host_knows_nothing_of_us(stage: Stage, rung: Rung) -> None:
    """What a tool finds in the memory that it got: the environment it started with."""
    show = "print(open('/proc/self/environ').read().split(chr(0)))"
    completed = stage.perform(show, rung=need(rung))
    said = completed.stdout.decode()
    if rung is Rung.LANDLOCK:  # grants no such file
        assert said == ""
        assert "PermissionError" in completed.stderr.decode()
        return
    assert "STAND_IN" in said
    assert not any(name in said for name in ("DATABASE_URL", "BROKER", "SENTRASCAN"))


def test_a_client_that_says_nothing_holds_nobody_up(stage: Stage) -> None:
    host = stage.host(strongest())
    [name] = [path.name for path in host.directory.iterdir() if path.is_socket()]
    with socket.socket(socket.AF_UNIX) as idle, socket.socket(socket.AF_UNIX) as rude:
        folder = os.open(host.directory, os.O_PATH)
        for each in (idle, rude):
            each.connect(f"/proc/self/fd/{folder}/{name}")
        os.close(folder)
        rude.sendall(b"{]\n")
        assert stage.perform(IS_WARM, rung=strongest()).stdout == b"True\n"


def test_where_the_namespaces_are_refused_the_scan_runs_cold(
    stage: Stage, keep: Callable[..., Hosts]
) -> None:
    """As on a host where only bubblewrap's own program may make them."""
    if strongest() is not Rung.BUBBLEWRAP:
        pytest.skip("no rung here has namespaces")
    code = (
        "import os\n"
        "def refuse(flags): raise PermissionError(1, 'not permitted')\n"
        "os.unshare = refuse\n"
    )
    tool = tampered(stage, "bound", code)
    host = keep(lambda name: tool)
    assert wait_for(lambda: "not permitted" in host.states()["stand-in"])
    assert perform(stage, host, tool, IS_WARM) == "False\n"


def test_the_exit_code_is_that_of_a_new_process(stage: Stage) -> None:
    cold = copy.copy(stage)
    cold.is_warm = False
    for program in (
        "raise SystemExit",
        "raise SystemExit(3)",
        "raise SystemExit('words')",
        "raise SystemExit(-1)",
        "raise SystemExit(True)",
        "1 / 0",
        "import atexit; atexit.register(print, 'x')",
        "import os; os.close(1); print('x')",
        "import concurrent.futures as c; c.ThreadPoolExecutor().submit(print, 'late')",
    ):
        ends = [each.perform(program, rung=strongest()) for each in (stage, cold)]
        assert ends[0].exit_code == ends[1].exit_code, program


def test_hosts_that_were_never_started_can_be_stopped(stage: Stage) -> None:
    """A worker may be asked to leave before it is ready."""
    place = stage.directory / "never"
    Hosts(place, [StandIn("")], lambda name: stage.tool, strongest()).stop()
    assert not place.exists()


@pytest.mark.parametrize("is_read", [True, False], ids=["request read", "unread"])
def test_a_supervisor_that_dies_is_a_lost_run_and_no_error_of_ours(
    stage: Stage, tmp_path: Path, is_read: bool
) -> None:
    """As when the kernel, short of memory, kills it: cold, too, the run is lost."""
    job = sandbox.Job(["program"])
    job.wall_seconds = 5.0
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "host"))
        listener.listen()

        def die() -> None:
            connection, _ = listener.accept()
            child = subprocess.Popen(["/bin/sleep", "60"])
            connection.sendall(f"{child.pid}\n".encode())
            select.select([connection], [], [], 5)
            if is_read:
                connection.recv(1 << 20)
            child.kill()
            child.wait()
            connection.close()

        killer = threading.Thread(target=die)
        killer.start()
        scratch = Scratch(stage.run_dir, 0)
        try:
            answer = hosts.ask(tmp_path, "host", job, {}, scratch, threading.Event())
        finally:
            killer.join()
            scratch.remove()
    assert answer is not None
    assert answer["outcome"] == "lost"
