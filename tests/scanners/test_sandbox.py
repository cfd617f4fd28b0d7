"""What a hostile tool reaches, tried for real on each rung that this machine has."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from scanners import sandbox, syscalls
from scanners.sandbox import Rung

from .standin import Stage, need

BURGLAR = r"""
import ctypes, errno, fcntl, json, os, resource, signal, socket, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
where = json.loads(sys.argv[1])
answers = {}

def attempt(name):
    def run(act):
        try:
            answers[name] = ["did", repr(act())]
        except OSError as error:
            answers[name] = ["refused", errno.errorcode.get(error.errno, str(error))]
        return act
    return run

def call(number, *arguments):
    answer = libc.syscall(number, *arguments)
    if answer < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return answer

def read(path):
    with open(path, "rb") as file:
        return file.read(100)

def send(kind, address, family=socket.AF_INET):
    with socket.socket(family, kind) as each:
        each.settimeout(2)
        each.connect(address)
        each.send(b"stolen")

def send_by_pair(address):
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    left.sendto(b"stolen", address)

def send_by_raw_call(address):
    left, right = socket.socketpair()
    left.sendto(b"stolen", address)

def write(path):
    with open(path, "w") as file:
        file.write("was here")

for name, path in where["files"].items():
    attempt("read " + name)(lambda: read(path))
for name, path in where["places"].items():
    attempt("write " + name)(lambda: write(path))
attempt("list other")(lambda: os.listdir(where["other"]))
attempt("change mode")(lambda: os.chmod(where["files"]["secret"], 0o777))
attempt("truncate")(lambda: os.truncate(where["files"]["secret"], 0))
attempt("remove")(lambda: os.unlink(where["files"]["secret"]))
attempt("tcp")(lambda: send(socket.SOCK_STREAM, ("127.0.0.1", where["tcp"])))
attempt("udp")(lambda: send(socket.SOCK_DGRAM, ("127.0.0.1", where["udp"])))
attempt("dns")(lambda: socket.getaddrinfo("example.org", 80))
attempt("unix")(lambda: send(socket.SOCK_DGRAM, where["unix"], socket.AF_UNIX))
attempt("unix pair")(lambda: send_by_pair(where["unix"]))
attempt("abstract pair")(lambda: send_by_pair(where["abstract"]))
attempt("unix stream pair")(lambda: send_by_raw_call(where["unix"]))
attempt("signal worker")(lambda: os.kill(where["worker"], 0))
attempt("signal all")(lambda: os.kill(-1, 0))
attempt("signal parent")(
    lambda: os.getppid() == 1 or os.kill(os.getppid(), signal.SIGKILL)
)
attempt("limit worker")(
    lambda: resource.prlimit(where["worker"], resource.RLIMIT_NOFILE)
)
attempt("ptrace")(lambda: call(where["numbers"]["ptrace"], 16, where["worker"], 0, 0))
attempt("answer for supervisor")(lambda: write("/proc/%d/fd/1" % os.getppid()))
attempt("own a descriptor's signals")(
    lambda: fcntl.fcntl(0, fcntl.F_SETOWN, where["worker"])
)
attempt("namespace")(lambda: call(where["numbers"]["unshare"], 0x10000000))
attempt("memfd")(lambda: os.memfd_create("x"))
attempt("hide from supervisor")(
    lambda: libc.prctl(4, 0, 0, 0, 0) and (_ for _ in ()).throw(OSError(1, "refused"))
)
attempt("io_uring")(lambda: call(425, 1, 0))
attempt("mkfifo")(lambda: os.mkfifo("pipe"))
attempt("set-uid")(lambda: os.setuid(0) if os.getuid() else os.setuid(1))
attempt("child")(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))
attempt("read target")(lambda: read(where["model"]))
attempt("own socketpair")(lambda: socket.socketpair())

answers["capabilities"] = [
    line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff")
]
answers["environment"] = sorted(os.environ)
answers["descriptors"] = sorted(os.listdir("/proc/self/fd"))
answers["limits"] = [resource.getrlimit(resource.RLIMIT_NOFILE)[1],
                     resource.getrlimit(resource.RLIMIT_CORE)[1]]
with open("answers.json", "w") as file:
    json.dump(answers, file)
"""

SECRET = b"another scan's upload"


class Burgled:
    """The answers of one burglar, and what he left behind."""

    def __init__(self, rung: Rung, directory: Path) -> None:
        self.rung = rung
        self.stage = Stage(directory)
        self.other = directory / "uploads"
        self.other.mkdir()
        self.secret = self.other / "secret"
        self.secret.write_bytes(SECRET)
        self.secret.chmod(0o600)
        self.unix = str(directory / "socket")
        self.abstract = f"\0stand-in-{os.getpid()}-{rung}"
        self.heard: list[bytes] = []
        with Listeners(self.unix, self.abstract) as listeners:
            plan = self._plan(listeners)
            completed = self.stage.perform(
                BURGLAR, json.dumps(plan), rung=rung, outputs=("answers.json",)
            )
            self.is_silent = listeners.heard_nothing()
        assert "answers.json" in completed.outputs, completed.stderr.decode()
        self.answers: dict[str, Any] = json.loads(completed.outputs["answers.json"])

    def _plan(self, listeners: Listeners) -> dict[str, Any]:
        stage, column = self.stage, syscalls.MACHINES[os.uname().machine][1]
        places = {
            "outside": str(stage.directory / "outside"),
            "target": str(stage.target.root / "new"),
            "over target": str(stage.target.root / "model.bin"),
            "tool": str(stage.directory / "tool" / "bin" / "new"),
            "temporary": f"/tmp/stand-in-{os.getpid()}",
            "scratch": "mine",
        }
        return {
            "files": {
                "secret": str(self.secret),
                "password file": "/etc/passwd",
                "first environment": "/proc/1/environ",
                "worker environment": f"/proc/{os.getpid()}/environ",
                "worker connections": "/proc/self/net/tcp",
            },
            "places": {"scratch": "mine"} if self.rung is Rung.RLIMITS else places,
            "other": str(self.other),
            "model": str(stage.target.root / "model.bin"),
            "worker": os.getpid(),
            "tcp": listeners.tcp.getsockname()[1],
            "udp": listeners.udp.getsockname()[1],
            "unix": self.unix,
            "abstract": self.abstract,
            "numbers": {
                "ptrace": (101, 117)[column],
                "unshare": (272, 97)[column],
            },
        }

    def refused(self, name: str) -> bool:
        return bool(self.answers[name][0] == "refused")


class Listeners:
    """Whoever on this machine would hear a tool that has the network."""

    def __init__(self, unix: str, abstract: str) -> None:
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.local = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in "ab"]
        self.local[0].bind(unix)
        self.local[1].bind(abstract)
        Path(unix).chmod(0o777)
        self.all = [self.tcp, self.udp, *self.local]

    def __enter__(self) -> Listeners:
        return self

    def __exit__(self, *exception: object) -> None:
        for each in self.all:
            each.close()

    def heard_nothing(self) -> bool:
        return not select.select(self.all, [], [], 0)[0]


@pytest.fixture(scope="module", params=list(Rung), ids=str)
def burgled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Burgled:
    rung = need(request.param)
    return Burgled(rung, tmp_path_factory.mktemp("stage"))


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
        pytest.skip("this rung cannot stop reads, and says so (see the test below)")
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
        pytest.skip("this rung cannot stop writes to this account's files")
    assert burgled.refused(f"write {name}"), burgled.answers[f"write {name}"]


def test_it_writes_in_its_scratch(burgled: Burgled) -> None:
    assert burgled.answers["write scratch"][0] == "did"


def test_it_changes_no_other_file(burgled: Burgled) -> None:
    if burgled.rung is not Rung.RLIMITS:
        assert burgled.secret.read_bytes() == SECRET
        assert burgled.secret.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "name",
    ["tcp", "udp", "dns", "unix", "unix pair", "abstract pair", "unix stream pair"],
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
        pytest.skip("its parent there is the namespace's own first process")
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


def test_a_weak_rung_says_what_it_lets_through() -> None:
    assert "every file" in Rung.RLIMITS.sentence


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
    boot = [sys.executable, "-I", "-S", "-c", sandbox.BOOT, sandbox.HOME]
    done = subprocess.run(
        [*boot, "sandbox", "main", "2", *job.arguments()],
        capture_output=True,
        check=False,
    )
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
