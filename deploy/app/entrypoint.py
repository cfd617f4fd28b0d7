"""Starts a container: waits for the database, migrates it once, becomes the command.

Every replica of every service runs this. The first one takes an advisory lock of
PostgreSQL and migrates; the others wait for the lock and find nothing left to do. What
is applied is compared with a list made when the image was built, so that an ordinary
start costs one query and not a second start of Django.
"""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parents[2]
MIGRATIONS = Path(os.environ.get("SENTRASCAN_MIGRATIONS", ROOT / "migrations.txt"))
# Any number that nobody else locks in this database: "sentrasc" in ASCII.
LOCK = int.from_bytes(b"sentrasc", "big")
WAIT_SECONDS = 60

type Migrations = set[tuple[str, str]]


class StartError(Exception):
    """The container cannot start; the text is one line that says why."""


def say(level: str, message: str) -> None:
    """Write one line in the shape of all our logs."""
    line = {
        "ts": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": level,
        "logger": "sentrascan.start",
        "message": " ".join(message.split()),
    }
    sys.stderr.write(json.dumps(line, ensure_ascii=False) + "\n")
    sys.stderr.flush()


def database_url() -> str:
    """Return where the database is, '' for the embedded one. Raises `StartError`."""
    if path := os.environ.get("DATABASE_URL_FILE"):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise StartError(f"DATABASE_URL_FILE: {error}") from error
    return os.environ.get("DATABASE_URL", "")


def connected(url: str) -> psycopg.Connection:
    """Return a connection as soon as the server takes one. Raises `StartError`."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return psycopg.connect(url, autocommit=True, connect_timeout=5)
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise StartError(f"the database does not answer: {error}") from error
        time.sleep(0.5)


def brought() -> Migrations:
    """Return the migrations of this image."""
    lines = MIGRATIONS.read_text(encoding="utf-8").splitlines()
    return {(app, name) for app, name in map(str.split, lines)}


def applied(connection: psycopg.Connection) -> Migrations:
    """Return the migrations that the database already has."""
    table = connection.execute("SELECT to_regclass('django_migrations')").fetchone()
    if table == (None,):
        return set()
    rows = connection.execute("SELECT app, name FROM django_migrations")
    return set(rows.fetchall())


def bring_up_to_date(url: str) -> None:
    """Apply what is missing unless another replica does. Raises `StartError`."""
    wanted = brought()
    with connected(url) as connection:
        if wanted <= applied(connection):
            return
        # Of the session: it goes with this process, however that ends.
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        missing = wanted - applied(connection)
        if missing:
            migrate()
            say("INFO", f"applied {len(missing)} migrations to the database")


def migrate() -> None:
    """Run Django's migrations. Raises `StartError` with the last line of a failure."""
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "manage.py",
            "migrate",
            "--noinput",
            "--verbosity",
            "0",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        reason = lines[-1] if lines else f"exit code {done.returncode}"
        raise StartError(f"the database could not be migrated: {reason}")


def prepare() -> None:
    """Make sure that the command can do its work. Raises `StartError`."""
    data = Path(os.environ.get("SENTRASCAN_DATA_DIR", ROOT / "var"))
    if not os.access(data, os.W_OK):
        raise StartError(f"{data} cannot be written by uid {os.getuid()}")
    url = database_url()
    if url.startswith(("postgres://", "postgresql://")):
        bring_up_to_date(url)
    else:
        migrate()


def main() -> None:
    """Prepare, then run the command in the place of this process."""
    command = sys.argv[1:]
    try:
        prepare()
    except StartError as error:
        say("ERROR", str(error))
        sys.exit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
