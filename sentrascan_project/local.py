"""`make run`: web, worker and timed tasks under one supervisor, until Ctrl-C.

Run as `python -m sentrascan_project.local`. Embedded by default (SQLite, a queue of
files); PostgreSQL and Redis by environment alone.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import DatabaseError, connection, connections

from scans.management.web_server import web_command, web_environment
from sentrascan_project.cli import speak_utf8
from sentrascan_project.processes import Child, Family

STOPPED = 0
NOT_STARTED = 1
WRONG_CONFIGURATION = 2
GIVE_UP_FAILURES = 4
TICK_SECONDS = 0.1
# Nothing is old yet, and somebody waits for the first page.
HOUSEKEEPING_DELAY_SECONDS = 5.0


class NotStarted(Exception):
    """Something outside must be mended first; the message says what, in one line."""


class Watch:
    """Notes that somebody asked for the end."""

    def __init__(self) -> None:
        self.is_over = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._end)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.is_over = True


def main() -> int:
    speak_utf8()
    watch = Watch()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sentrascan_project.settings")
    try:
        set_up()
        with only_one(settings.DATA_DIR / "local.lock"):
            check_port(settings.HOST, settings.PORT)
            prepare_database()
            return STOPPED if watch.is_over else supervise(watch)
    except ImproperlyConfigured as error:
        say(f"The configuration is wrong: {error}")
        return WRONG_CONFIGURATION
    except NotStarted as error:
        say(str(error))
        return NOT_STARTED


def set_up() -> None:
    """Load the settings, which make the data directory; raise `NotStarted`."""
    try:
        django.setup()
    except OSError as error:
        raise NotStarted(f"The data directory cannot be used: {error}") from error


def supervise(watch: Watch) -> int:
    """Start everything, run it until asked to stop, leave nothing behind."""
    os.environ.update(web_environment(settings.BASE_DIR))
    welcome, *served = children(settings.DATA_DIR / "log")
    family = Family([*served, welcome], say)
    try:
        family.start()
        while not watch.is_over and not welcome.is_finished:
            family.watch()
            if any(child.failures >= GIVE_UP_FAILURES for child in served):
                say("SentraScan does not start; the lines above say why.")
                return NOT_STARTED
            time.sleep(TICK_SECONDS)
        say("" if watch.is_over else "\nPress Ctrl-C to stop.")
        while not watch.is_over:
            family.watch()
            time.sleep(TICK_SECONDS)
        return STOPPED
    finally:
        say("Stopping ...")
        family.stop()
        say("Stopped.")


def children(logs: Path) -> list[Child]:
    """Return what runs: first the one that greets and ends, then the services."""
    logs.mkdir(exist_ok=True)
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)
    manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
    return [
        Child("the welcome", [*manage, "welcome"]),
        Child("web", web_command(), logs / "web.log"),
        Child("worker", [*manage, "worker"], logs / "worker.log"),
        Child(
            "housekeeping",
            [*manage, "worker", "--housekeeping"],
            logs / "housekeeping.log",
            delay=HOUSEKEEPING_DELAY_SECONDS,
        ),
    ]


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold the lock of this data directory; raise `NotStarted` if another run does."""
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise NotStarted(
                f"SentraScan is already running here ({file.read().strip()}). "
                "Stop it first, or set SENTRASCAN_DATA_DIR and SENTRASCAN_PORT for "
                "another one."
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()}, port {settings.PORT}\n")
        file.flush()
        yield


def check_port(host: str, port: int) -> None:
    """Raise `NotStarted` when the web server could not listen there."""
    place = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # As gunicorn does: connections of a run just ended do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise NotStarted(
                f"Port {port} is taken by another program. Stop that, or choose "
                f"another port: SENTRASCAN_PORT={port + 1} make run"
            ) from error
        raise NotStarted(
            f"Cannot listen on {place}: {error.strerror}. SENTRASCAN_HOST and "
            "SENTRASCAN_PORT say where."
        ) from error
    except OverflowError as error:
        raise NotStarted(f"SENTRASCAN_PORT={port}: there is no such port.") from error


def prepare_database() -> None:
    """Bring the database up to date; raise `NotStarted` when it does not answer."""
    name = connection.display_name
    where = connection.settings_dict["NAME"]
    try:
        if connection.vendor == "sqlite":
            # Its companions (-wal, -shm) take the mode of the file itself.
            Path(where).touch(mode=0o600)
        call_command("migrate", verbosity=0, interactive=False)
    except (DatabaseError, OSError) as error:
        reason = " ".join(str(error).split())
        raise NotStarted(f"The database ({name}) refuses: {reason}") from error
    finally:
        connections.close_all()
    say(f"SentraScan {settings.VERSION}")
    say(f"  database  {name}, {where}")
    say(f"  logs      {settings.DATA_DIR / 'log'}")


def say(line: str) -> None:
    """Print. A terminal that went away is no reason to leave processes behind."""
    with suppress(OSError):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
