"""What a hostile tool reaches, tried for real on each rung that this machine has."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scanners import sandbox, syscalls
from scanners.sandbox import Rung

from .burglar import SECRET, Burgled
from .standin import confined_alone, need


@pytest.fixture(
    scope="module",
    params=[(rung, way) for rung in Rung for way in ("cold", "warm")],
    ids="-".join,
)
def burgled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Burgled]:
    rung, way = request.param
    burgled = Burgled(need(rung), tmp_path_factory.mktemp("stage"), way == "warm")
    yield burgled
    burgled.stage.close()


@pytest.mark.parametrize(
    "name",
    [
        "read secret",
        "read password file",
        "read first environment",
        "read worker environment",
        "read worker connections",
        "list other",
    ],
)
def test_it_reads_no_file_but_its_target(burgled: Burgled, name: str) -> None:
    if burgled.rung is Rung.RLIMITS:
        return  # cannot, and says so: see below
    if burgled.rung is Rung.BUBBLEWRAP and name.endswith(
        ("environment", "connections")
    ):
        # a process 1 and connections exist there too, but they are its own
        answer = burgled.answers[name]
        assert answer[0] == "refused" or os.environ["PATH"] not in answer[1]
        return
    assert burgled.refused(name), burgled.answers[name]


def test_it_reads_its_target(burgled: Burgled) -> None:
    assert burgled.answers["read target"] == ["did", repr(b"weights")]


@pytest.mark.parametrize(
    "name", ["outside", "target", "over target", "tool", "temporary"]
)
def test_it_writes_nowhere_but_in_its_scratch(burgled: Burgled, name: str) -> None:
    if burgled.rung is Rung.RLIMITS:
        return  # cannot, and says so: see below
    assert burgled.refused(f"write {name}"), burgled.answers[f"write {name}"]


def test_it_writes_in_its_scratch(burgled: Burgled) -> None:
    assert burgled.answers["write scratch"][0] == "did"


def test_it_changes_no_other_file(burgled: Burgled) -> None:
    if burgled.rung is not Rung.RLIMITS:
        assert burgled.secret.read_bytes() == SECRET
        assert burgled.secret.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "name",
    [
        "tcp",
        "udp",
        "dns",
        "unix",
        "unix pair",
        "unix stream pair",
        "unix message",
        "abstract pair",
        "abstract message",
    ],
)
def test_it_has_no_network(burgled: Burgled, name: str) -> None:
    assert burgled.refused(name), burgled.answers[name]


def test_nobody_heard_from_it(burgled: Burgled) -> None:
    assert burgled.is_silent


@pytest.mark.parametrize(
    "name",
    [
        "signal worker",
        "limit worker",
        "ptrace",
        "answer for supervisor",
        "own a descriptor's signals",
        "hide from supervisor",
    ],
)
def test_it_touches_no_other_process(burgled: Burgled, name: str) -> None:
    if burgled.rung is Rung.BUBBLEWRAP and name == "answer for supervisor":
        return  # its parent there is the namespace's own first process
    assert burgled.refused(name), burgled.answers[name]


def test_it_signals_nobody_at_large(burgled: Burgled) -> None:
    if burgled.rung is not Rung.BUBBLEWRAP:  # where its parent is in its namespace
        assert burgled.refused("signal parent")
    if burgled.rung is Rung.RLIMITS:
        # elsewhere the kernel passes over each stranger, and still answers "done"
        assert burgled.refused("signal all")


@pytest.mark.parametrize(
    "name", ["namespace", "memfd", "io_uring", "mkfifo", "set-uid"]
)
def test_it_gets_no_way_around(burgled: Burgled, name: str) -> None:
    assert burgled.refused(name), burgled.answers[name]


def test_it_has_no_capability(burgled: Burgled) -> None:
    assert burgled.answers["capabilities"] == ["0" * 16]


def test_it_inherits_only_the_short_environment(burgled: Burgled) -> None:
    assert set(burgled.answers["environment"]) - {"PWD"} == {
        "PATH",
        "LANG",
        "HOME",
        "TMPDIR",
        "NO_COLOR",
        "OPENBLAS_NUM_THREADS",
        "OMP_NUM_THREADS",
        "STAND_IN",
    }


def test_it_inherits_no_descriptor(burgled: Burgled) -> None:
    # the fourth is the listing's own
    assert burgled.answers["descriptors"] == ["0", "1", "2", "3"]


def test_it_keeps_what_tools_need(burgled: Burgled) -> None:
    assert burgled.answers["child"][0] == "did"
    assert burgled.answers["own socketpair"][0] == "did"


def test_its_open_files_are_limited(burgled: Burgled) -> None:
    assert burgled.answers["limits"] == [256, 0]


def test_the_probe_answers_the_strongest_rung_that_holds() -> None:
    rung, reasons = sandbox.climb()
    assert rung is sandbox.probe()
    ladder = list(Rung)
    assert list(reasons) == ladder[: ladder.index(rung)]
    assert all(reasons.values())


def test_nothing_runs_when_the_sandbox_cannot_be_put_on(tmp_path: Path) -> None:
    """Fails closed: a place that must be granted is not there."""
    job = sandbox.Job([sys.executable, "-c", "open('ran', 'w').close()"])
    job.rung = need(Rung.LANDLOCK)
    job.readable = [str(tmp_path / "missing")]
    job.scratch = job.working_directory = str(tmp_path)
    done = confined_alone(job)
    assert done.returncode == sandbox.NOT_CONFINED
    assert b"missing" in done.stderr
    assert not (tmp_path / "ran").exists()


def test_a_job_survives_its_journey_as_arguments() -> None:
    job = sandbox.Job(["/bin/echo", "--", "a=b", ""])
    job.readable = ["/a b", "/c=d"]
    job.wall_seconds = 0.5
    job.is_inside = True
    assert vars(sandbox.Job.from_arguments(job.arguments())) == vars(job)


@pytest.mark.parametrize("machine", syscalls.MACHINES)
def test_no_call_is_named_twice_in_the_filter(machine: str) -> None:
    column = syscalls.MACHINES[machine][1]
    numbers = [
        number
        for table, _ in syscalls._REFUSED
        for number in syscalls._numbers(table, column).values()
    ]
    numbers += syscalls._numbers(syscalls._EXAMINED, column).values()
    assert len(numbers) == len(set(numbers))
    assert len(syscalls.program(machine, own_pid=7, is_truncate_open=True)) % 8 == 0


def test_several_threads_climb_to_the_same_rung() -> None:
    found: list[Rung] = []
    threads = [
        threading.Thread(target=lambda: found.append(sandbox.probe())) for _ in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(set(found)) == 1
