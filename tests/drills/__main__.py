"""`python -m tests.drills --scans 200 --seed 1`: prints the tally, exits 1 on a fault.

An installation of its own in a temporary directory: PostgreSQL, Redis, web server, two
workers (one with warm hosts), the timed tasks. A client submits; at random moments of
a known seed something is killed, frozen or restarted. Then everything may settle.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import django

from benchmarks.processes import family
from tests.drills.client import Client
from tests.drills.crew import PROJECT, Crew, Member, eventually
from tests.drills.faults import FAULTS, Site
from tests.drills.stores import Postgres, Redis
from tests.servers import free_port

PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    options = _options()
    # Whatever loses its parent becomes ours, and so is seen at the end.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    root = Path(tempfile.mkdtemp(prefix="sentrascan-drill-"))
    root.chmod(0o755)
    database, broker = Postgres(root / "postgres"), Redis(root / "redis")
    crew = Crew()
    try:
        for store in (database, broker):
            store.make()
            store.start()
        database.make_database()
        result = drill(options, root, Site(crew, database, broker, []))
    finally:
        crew.stop()
        for store in (database, broker):
            if store.process is not None:
                store.process.kill()
                store.process.wait()
        if options.keep:
            sys.stderr.write(f"kept: {root}\n")
        else:
            shutil.rmtree(root, ignore_errors=True)
    if options.json:
        sys.stdout.write(json.dumps(result.document()) + "\n")
    else:
        show(result)
    return 1 if result.faults else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.drills")
    parser.add_argument("--scans", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pause", type=float, default=0.5, help="between submissions")
    parser.add_argument("--thorough", type=float, default=0.2, help="share: all tools")
    parser.add_argument("--every", type=float, default=4.0, help="seconds a fault")
    parser.add_argument("--settle", type=float, default=240.0, help="at most, seconds")
    parser.add_argument("--rolling", action="store_true", help="restart all in turn")
    parser.add_argument("--only", action="append", help="this fault, and no other")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--keep", action="store_true", help="leave the directory")
    return parser.parse_args()


def drill(options: argparse.Namespace, root: Path, site: Site):
    """Run the drill and return its `tally.Result`."""
    ports = [free_port(), free_port()] if options.rolling else [free_port()]
    environment = _environment(root, site, ports[0])
    os.environ.update(environment)
    django.setup()
    # Only now does the ORM know which database it is.
    from django.db import connections

    from tests.drills import rolling, tally

    result = tally.Result(options.seed)
    key = _prepare()
    site.crew.members += _members(environment, root, ports)
    client = _client(options, ports, key)
    started = time.monotonic()
    thread = threading.Thread(target=client.run, daemon=True)
    thread.start()
    if options.rolling:
        result.injected = rolling.restart_all(site.crew)
        client.stop.set()
    else:
        result.injected = inject(options, site, thread)
    site.wake(all_of_them=True)
    thread.join()

    def is_settled() -> bool:
        site.crew.look()
        connections.close_all()
        return tally.is_settled()

    eventually(is_settled, options.settle)
    result.seconds = round(time.monotonic() - started, 1)
    tally.read(result, client)
    result.restarts = {m.name: m.starts - 1 for m in site.crew.members}
    site.crew.stop()
    result.orphan_processes = _orphans(site)
    tally.read_files(result)
    connections.close_all()
    return result


def _client(options: argparse.Namespace, ports: Sequence[int], key: str) -> Client:
    urls = [f"http://127.0.0.1:{port}/api/v1" for port in ports]
    # A rolling restart stops it, however long that takes.
    count = 100_000 if options.rolling else options.scans
    client = Client(urls, key, count, options.seed, options.pause)
    client.thorough = options.thorough
    return client


def _prepare() -> str:
    """Make the tables and a key; return the key."""
    from django.db import connections

    from apikeys.models import ApiKey

    migrate = [sys.executable, PROJECT / "manage.py", "migrate", "-v", "0"]
    subprocess.run(migrate, check=True)
    _, key = ApiKey.objects.issue(name="drill", role="admin")
    connections.close_all()
    return key


def _environment(root: Path, site: Site, port: int) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SENTRASCAN_", "DATABASE_", "CELERY_", "DJANGO_"))
    }
    scanners = os.environ.get("SENTRASCAN_SCANNERS_DIR")
    for name in set(os.environ) - set(kept):
        del os.environ[name]
    return {
        **kept,
        "DJANGO_SETTINGS_MODULE": "sentrascan_project.settings",
        "DATABASE_URL": site.database.url,
        "CELERY_BROKER_URL": site.broker.url,
        "SENTRASCAN_DATA_DIR": str(root / "data"),
        "SENTRASCAN_SCANNERS_DIR": scanners or str(PROJECT / "var" / "scanners"),
        "SENTRASCAN_PORT": str(port),
        "SENTRASCAN_RATE_LIMIT": "100000/min",
    }


def _members(
    environment: dict[str, str], root: Path, ports: Sequence[int]
) -> list[Member]:
    cold = environment | {"SENTRASCAN_WARM_HOSTS": "0"}
    web = [environment | {"SENTRASCAN_PORT": str(port)} for port in ports]
    names = ["web", "web-2"]
    who = (
        *((name, ("serve",), env) for name, env in zip(names, web, strict=False)),
        ("worker", ("worker",), environment),
        ("worker-2", ("worker",), cold),
        ("beat", ("worker", "--housekeeping"), environment),
    )
    return [
        Member(name, arguments, env, root / f"{name}.log")
        for name, arguments, env in who
    ]


def inject(
    options: argparse.Namespace, site: Site, client: threading.Thread
) -> dict[str, int]:
    """Let something happen every few seconds, for as long as scans are submitted."""
    chance = random.Random(options.seed)
    names = options.only or list(FAULTS)
    injected: Counter[str] = Counter()
    due: list[str] = []
    next_at = time.monotonic() + options.every
    while client.is_alive():
        site.crew.look()
        site.wake()
        if time.monotonic() >= next_at:
            # Each in turn, in an order of chance: none is left out by bad luck.
            due = due or chance.sample(names, len(names))
            name = due.pop()
            injected[name] += FAULTS[name](site, chance)
            next_at = time.monotonic() + chance.uniform(0.5, 1.5) * options.every
        time.sleep(0.1)
    return dict(injected)


def _orphans(site: Site) -> list[str]:
    """Name the processes that are left below us, the stores aside."""
    stores = {
        each.number
        for store in (site.database, site.broker)
        if store.process
        for each in family(store.process.pid)
    }
    return [
        " ".join(each.words)[:200]
        for each in family(os.getpid())
        if each.number not in stores and each.number != os.getpid() and any(each.words)
    ]


def show(result) -> None:
    say = sys.stdout.write
    say(f"seed {result.seed}, {result.seconds:g} s\n")
    say(f"faults injected   {sum(result.injected.values())}\n")
    for name, count in sorted(result.injected.items()):
        say(f"  {count:4}  {name}\n")
    say(f"services restarted  {result.restarts}\n")
    say(f"answers           {result.answers}, ")
    say(f"{result.refused_connections} connections refused or cut\n")
    say(f"scans accepted    {result.accepted}, ")
    say(f"and {result.unanswered} whose answer was cut off\n")
    say(f"verdicts          {result.verdicts}\n")
    say(f"attempts          {result.attempts}\n")
    for reason, count in result.failed.items():
        say(f"  {count:4}  failed: {reason}\n")
    say(f"lost              {result.lost}\n")
    say(f"without verdict   {result.unfinished}\n")
    say(f"judged twice      {result.doubled}\n")
    say(f"orphan processes  {len(result.orphan_processes)}\n")
    say(f"orphan files      {len(result.orphan_files)}\n")
    say(f"wrong answers     {len(result.wrong_answers)}\n")
    for line in (
        *result.orphan_processes,
        *result.orphan_files[:20],
        *result.wrong_answers[:10],
    ):
        say(f"  {line}\n")
    say("NOT GOOD: " + ", ".join(result.faults) + "\n" if result.faults else "good\n")


if __name__ == "__main__":
    sys.exit(main())
