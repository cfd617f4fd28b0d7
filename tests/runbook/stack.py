"""The services of docker-compose.yml as processes here, thrown away at the end.

PostgreSQL and Redis are servers of its own, so that stopping them stops nobody else's
tests; `api`, `worker` and `beat` start by the entrypoint of the image. A program called
`docker-compose`, on the path of the blocks only, asks it over a socket.
"""

from __future__ import annotations

import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import psycopg

from benchmarks.processes import family
from tests.drills.stores import Postgres, Redis, Store
from tests.project.running import ROOT, environment
from tests.runbook.front import Front
from tests.runbook.programs import APPLICATION, write_programs
from tests.servers import _as_user, free_port

SERVICES = ("db", "redis", *APPLICATION, "proxy")
COMMANDS = {
    "api": ("serve",),
    "worker": ("worker",),
    "beat": ("worker", "--housekeeping"),
}
STOP_SECONDS, START_SECONDS = 20, 90
# Exit code, standard output, standard error.
type Answer = tuple[int, str, str]
# SENTRASCAN_... as compose finds it when it is asked.
type Settings = dict[str, str]
# What deploy/db/init.sh does in the container.
ROLE = """
CREATE ROLE sentrascan LOGIN CREATEDB;
GRANT pg_monitor, pg_signal_backend TO sentrascan;
"""


class Container:
    """One replica of `api`, `worker` or `beat`."""

    def __init__(self, name: str, service: str, stack: Stack) -> None:
        self.name, self.service, self.port = name, service, free_port()
        self.log = stack.root / f"{name}.log"
        entry = ROOT / "deploy" / "app" / "entrypoint.py"
        self._command = [
            *_as_user("", signal.SIGKILL),
            *(sys.executable, "-I", entry, sys.executable, ROOT / "manage.py"),
            *COMMANDS[service],
        ]
        self._environment = (
            stack.environment | stack.settings | {"SENTRASCAN_PORT": str(self.port)}
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        if self.is_running:
            return
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def stop(self) -> None:
        """End it and all that it started, as the end of a container does."""
        if self.process is None:
            return
        below = [each.number for each in family(self.process.pid)]
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        for number in below:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self.process.wait()
        self.process = None


class Stack:
    """All services; `root` holds everything that they write."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.stores: dict[str, Store] = {
            "db": Postgres(root / "postgres"),
            "redis": Redis(root / "redis"),
        }
        self.settings: dict[str, str] = {}
        self._is_rebuilt = False
        self.containers: list[Container] = []
        self.front = Front(self._web_ports, root / "proxy.log")
        self.project, self.programs = root / "project", root / "programs"
        # Links to the tools: one of them can be taken away.
        self.scanners = root / "scanners"
        self.environment: dict[str, str] = {}
        self.socket = str(root / "socket")
        self._server = socketserver.UnixStreamServer(self.socket, _Asked)
        cast("Any", self._server).stack = self
        self._verbs: dict[str, Callable[[list[str], list[str], Settings], Answer]] = {
            "up": self._up,
            "down": self._down,
            "build": self._build,
            "pull": self._pull,
            "ps": self._ps,
            "logs": self._logs,
        }

    def make(self) -> None:
        """Make servers, database and programs; nothing of the application runs yet."""
        for store in (
            cast("Postgres", self.stores["db"]),
            cast("Redis", self.stores["redis"]),
        ):
            store.make()
            store.start()
        server = f"postgres://postgres@127.0.0.1:{self.stores['db'].port}/postgres"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(ROLE)
            connection.execute("CREATE DATABASE sentrascan OWNER sentrascan")
        listed = subprocess.run(
            [sys.executable, ROOT / "deploy" / "app" / "list_migrations.py"],
            check=True,
            capture_output=True,
            env=environment(self.root / "listing"),
        )
        (self.root / "migrations.txt").write_bytes(listed.stdout)
        self.environment = self._application()
        write_programs(self)
        # One thread for all commands, as long as we live: what a thread started gets
        # the signal of PR_SET_PDEATHSIG when that thread ends, see prctl(2).
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def migrate(self) -> None:
        """Make the tables and fill them, as one who starts nothing."""
        manage = (sys.executable, ROOT / "manage.py", "migrate", "--verbosity=0")
        for command in (manage, (sys.executable, "-m", "tests.scans.filling", "5")):
            subprocess.run(command, check=True, cwd=ROOT, env=self.environment)

    @property
    def url(self) -> str:
        return f"postgres://sentrascan@127.0.0.1:{self.stores['db'].port}/sentrascan"

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            found = connection.execute(sql)  # type: ignore[call-overload] # any text
            return found.fetchall() if found.description else []

    def typed(
        self, text: str, *, seconds: float = 180, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run what an operator types, in the folder of docker-compose.yml."""
        return subprocess.run(
            ["bash", "-c", text],
            cwd=self.project,
            env=self.shell | more,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )

    @property
    def shell(self) -> dict[str, str]:
        """What an operator's shell has."""
        kept = {k: os.environ[k] for k in ("HOME", "LANG", "LC_ALL") if k in os.environ}
        return {
            **kept,
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "RUNBOOK_STACK": str(self.root / "stack.json"),
            # Where curl reads that localhost:8200 is another port here.
            "CURL_HOME": str(self.root),
            "BACKUP_DIR": str(self.root / "backups"),
        }

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.front.close()
        for container in self.containers:
            container.stop()
        self.stores["db"].end(signal.SIGQUIT)
        self.stores["redis"].end(signal.SIGKILL)  # it ignores the other one

    # --- what docker-compose is asked

    def answer(self, words: list[str], settings: Settings) -> Answer:
        verb, *rest = words
        if verb == "is-running":
            return int(not self._is_running(rest[0])), "", ""
        names = [word for word in rest if word in SERVICES]
        if verb in self._verbs:
            return self._verbs[verb](rest, names, settings)
        if verb in ("stop", "start", "restart"):
            for name in names or SERVICES:
                if verb != "start":
                    self._stop_service(name)
            for name in names or SERVICES:
                if verb != "stop":
                    self._start_service(name)
            return (0, "", "") if verb == "stop" else self._settled()
        return 1, "", f"unknown command: {verb}\n"

    def _up(self, rest: list[str], names: list[str], settings: Settings) -> Answer:
        chosen = names or list(SERVICES)
        if "api" in chosen:
            chosen = list(SERVICES)  # worker, beat, db and redis: it depends on them
        is_changed = settings != self.settings or self._is_rebuilt
        if is_changed and "--no-recreate" not in rest:
            for container in self.containers:
                container.stop()
            self.settings, self._is_rebuilt, self.containers = settings, False, []
        wanted = dict.fromkeys(APPLICATION, 1)
        for name, count in (w.split("=") for w in rest if "=" in w):
            wanted[name] = int(count)
        for name in chosen:
            while len(self._of(name)) > wanted.get(name, 1):
                extra = self._of(name)[-1]
                extra.stop()
                self.containers.remove(extra)
            while name in wanted and len(self._of(name)) < wanted[name]:
                number = len(self._of(name)) + 1
                self.containers.append(Container(f"{name}-{number}", name, self))
            self._start_service(name)
        return self._settled() if "api" in chosen else (0, "", "")

    def _down(self, rest: list[str], names: list[str], settings: Settings) -> Answer:
        for name in reversed(SERVICES):
            self._stop_service(name)
        self.containers.clear()
        return 0, "", ""

    def _build(self, rest: list[str], names: list[str], settings: Settings) -> Answer:
        self._is_rebuilt = True
        return 0, "", "(the code of this checkout)\n"

    def _pull(self, rest: list[str], names: list[str], settings: Settings) -> Answer:
        return 0, "", "(the servers of this machine)\n"

    def _ps(self, rest: list[str], names: list[str], settings: Settings) -> Answer:
        lines = ["NAME  SERVICE  STATUS"]
        for name in names or SERVICES:
            state = "Up (healthy)" if self._is_running(name) else "Exited"
            if state.startswith("Up") or "-a" in rest:
                lines.append(f"sentrascan-{name}-1  {name}  {state}")
        return 0, "\n".join(lines) + "\n", ""

    def _logs(self, rest: list[str], names: list[str], settings: Settings) -> Answer:
        tail = next(
            (int(w.split("=")[1]) for w in rest if w.startswith("--tail=")), None
        )
        logs = [
            (c.name, c.log) for c in self.containers if c.service in (names or SERVICES)
        ]
        logs += [
            (n, s.home / "log")
            for n, s in self.stores.items()
            if n in (names or SERVICES)
        ]
        logs += [("proxy", self.front.log)] * ("proxy" in (names or SERVICES))
        said = ""
        for name, log in logs:
            text = log.read_text(errors="replace") if log.exists() else ""
            lines = text.splitlines()
            said += "".join(
                f"{name}  | {line}\n" for line in lines[-(tail or len(lines)) :]
            )
        return 0, said, ""

    # --- services

    def _of(self, service: str) -> list[Container]:
        return [each for each in self.containers if each.service == service]

    def _web_ports(self) -> list[int]:
        return [each.port for each in self._of("api") if each.is_running]

    def _is_running(self, name: str) -> bool:
        if name in self.stores:
            return self.stores[name].process is not None
        if name == "proxy":
            return self.front.is_open
        return any(each.is_running for each in self._of(name))

    def _stop_service(self, name: str) -> None:
        if name in self.stores:
            self.stores[name].end(signal.SIGINT if name == "db" else signal.SIGTERM)
        elif name == "proxy":
            self.front.is_open = False
        for container in self._of(name):
            container.stop()

    def _start_service(self, name: str) -> None:
        if name in self.stores and self.stores[name].process is None:
            self.stores[name].start()
        elif name == "proxy":
            self.front.is_open = True
        for container in self._of(name):
            container.start()

    def _settled(self) -> Answer:
        """Wait for `api` as `depends_on: {condition: service_healthy}` does."""
        end = time.monotonic() + START_SECONDS
        for container in self._of("api"):
            address = f"http://127.0.0.1:{container.port}/api/v1/health"
            while container.is_running:
                with suppress(OSError), urllib.request.urlopen(address, timeout=5):
                    break
                if time.monotonic() > end:
                    return 1, "", f"container {container.name} is unhealthy\n"
                time.sleep(0.1)
        return 0, "", ""

    # --- surroundings

    def _application(self) -> dict[str, str]:
        (self.root / "data").mkdir()
        self.scanners.mkdir()
        for tool in Path(environment(self.root)["SENTRASCAN_SCANNERS_DIR"]).iterdir():
            (self.scanners / tool.name).symlink_to(tool)
        ours = environment(
            self.root / "data",
            DATABASE_URL=self.url,
            CELERY_BROKER_URL=cast("Redis", self.stores["redis"]).url,
            SENTRASCAN_MIGRATIONS=str(self.root / "migrations.txt"),
            SENTRASCAN_RATE_LIMIT="100000/min",
            SENTRASCAN_AUTH_FAILURES_PER_MINUTE="10000",
            SENTRASCAN_WARM_HOSTS="0",
            PATH=f"{self.programs}:{os.environ['PATH']}",
            PWD=str(ROOT),
        )
        return ours | {"SENTRASCAN_SCANNERS_DIR": str(self.scanners)}


class _Asked(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        request = json.loads(self.rfile.readline())
        stack: Stack = cast("Any", self.server).stack
        code, out, error = stack.answer(request["words"], request["settings"])
        said = {"code": code, "out": out, "error": error}
        self.wfile.write(json.dumps(said).encode() + b"\n")


@contextmanager
def local_stack(root: Path) -> Iterator[Stack]:
    """Keep the stores of a stack; `docker-compose up -d` starts the rest."""
    # A socket's path has at most 107 bytes, and PostgreSQL runs as somebody else.
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o755)
    stack = Stack(root)
    try:
        stack.make()
        yield stack
    finally:
        stack.close()
