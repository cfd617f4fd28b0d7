"""What `doctor` looks at, all at once; each look says what it saw, none raises."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from celery import current_app
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, connections
from django.db.migrations.executor import MigrationExecutor
from kombu.exceptions import KombuError, OperationalError

from scanners.hosts import WARM
from scanners.sandbox import Rung
from scans import sealing
from scans.detection import Detection, detect_all
from scans.models import Worker
from scans.sandboxing import chosen_rung

# A worker that has just started tries its scanners when its scans leave it the time for
# it, and behind them.
DETECTION_SECONDS = 180.0
# The three that everybody asks for; ours follow.
FIRST = ("modelaudit", "mcp-checkpoint", "cisco-scanner")


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor: `status` is `available`, `missing` or `broken`."""

    name: str
    status: str
    detail: str = ""

    @property
    def is_good(self) -> bool:
        return self.status == "available"

    @property
    def line(self) -> str:
        mark = "✅" if self.is_good else "❌"
        if not self.detail:
            return f"{mark} {self.name}: {self.status}"
        if self.is_good:
            return f"{mark} {self.name}: {self.status} ({self.detail})"
        return f"{mark} {self.name}: {self.status}: {self.detail}"


@dataclass(frozen=True, slots=True)
class LiveWorker:
    """What a worker process says of itself; None: it has not tried its scanners yet."""

    name: str
    sandbox: str
    scanners: Mapping[str, Mapping[str, str]] | None


@dataclass(frozen=True, slots=True)
class Checkup:
    """Everything that was looked at."""

    scanners: Sequence[Check]
    database: Check
    broker: Check
    workers: Check
    sandbox: Check
    hosts: Check
    key: Check
    live_workers: Sequence[LiveWorker]
    versions: Mapping[str, str]

    @property
    def checks(self) -> list[Check]:
        rest = [self.database, self.broker, self.workers, self.sandbox]
        rest += [self.hosts, self.key]
        return [*self.scanners, *rest]

    @property
    def is_good(self) -> bool:
        return all(check.is_good for check in self.checks)


def check_up() -> Checkup:
    """Look at everything, side by side."""
    with ThreadPoolExecutor(max_workers=3) as pool:
        broker = pool.submit(_in_thread, check_broker)
        key = pool.submit(_in_thread, check_key)
        tried = threading.Event()
        look = partial(check_database_and_workers, tried)
        kept = pool.submit(_in_thread, look)
        try:
            detections = detect_all(is_awaited=True)
        finally:
            tried.set()
        database, workers = kept.result()
    return Checkup(
        scanners=[_scanner(one, workers) for one in _in_order(detections)],
        database=database,
        broker=broker.result(),
        workers=_workers(database, workers),
        sandbox=_sandbox(workers),
        hosts=_hosts(workers),
        key=key.result(),
        live_workers=workers,
        versions={one.scanner: one.version for one in detections},
    )


def check_database_and_workers(
    tried: threading.Event,
) -> tuple[Check, list[LiveWorker]]:
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if missing:
            detail = f"{len(missing)} migrations are missing: sentrascan migrate"
            return Check("database", "broken", detail), []
        detail = f"{connection.display_name} {_version()}"
        return Check("database", "available", detail.strip()), _live_workers(tried)
    except (DatabaseError, InterfaceError, OSError) as error:
        return Check("database", "broken", _one_line(error)), []


def check_key() -> Check:
    """Whether the installation key is there and is the one that rows rest on."""
    try:
        return Check("installation key", "available", sealing.state())
    except sealing.KeyLost as error:
        return Check("installation key", "broken", str(error))
    except (DatabaseError, InterfaceError, OSError):
        return Check("installation key", "missing", "the database does not say")


def check_broker() -> Check:
    try:
        with current_app.connection_for_write(connect_timeout=2) as broker:
            broker.ensure_connection(max_retries=1, interval_start=0, timeout=3)
            name = broker.transport.driver_name or broker.transport_cls
    except (KombuError, OperationalError, OSError) as error:
        return Check("broker", "broken", _one_line(error))
    if settings.CELERY_BROKER_URL.startswith("filesystem"):
        name = "files on local disk"
    return Check("broker", "available", str(name))


def _in_thread[T](look: Callable[[], T]) -> T:
    try:
        return look()
    finally:
        connections.close_all()


def _live_workers(tried: threading.Event) -> list[LiveWorker]:
    """Return the live workers, waiting for those that still try their scanners.

    Where there is none, one may be starting this moment (`up -d` has just returned): we
    look again for as long as our own detections take anyway.
    """
    deadline = time.monotonic() + DETECTION_SECONDS
    while True:
        is_last = tried.is_set()
        rows = list(Worker.objects.live().order_by("name"))
        is_told = all(row.scanners for row in rows) if rows else is_last
        if is_told or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    return [LiveWorker(row.name, row.sandbox, row.scanners or None) for row in rows]


def _in_order(detections: Sequence[Detection]) -> list[Detection]:
    known = {one.scanner: one for one in detections}
    order = [*FIRST, *sorted(set(known) - set(FIRST))]
    absent = "its adapter is not part of this installation"
    return [
        known.get(name) or Detection(name, "missing", reason=absent) for name in order
    ]


def _scanner(here: Detection, workers: Sequence[LiveWorker]) -> Check:
    """Available means here and in every live worker; else say where it is not."""
    name = here.scanner
    if not here.is_available:
        return Check(name, here.status, f"{here.reason} (on {socket.gethostname()})")
    for worker in workers:
        if worker.scanners is None:
            reason = f"worker {worker.name} has not tried it yet"
            return Check(name, "broken", reason)
        there = worker.scanners.get(name)
        if there is None:
            return Check(name, "missing", f"worker {worker.name} does not know it")
        if there.get("status") != "available":
            reason = f"{there.get('reason', '')} (in worker {worker.name})"
            return Check(name, str(there.get("status")), reason.strip())
        if there.get("version") != here.version:
            reason = f"{there.get('version')} in worker {worker.name}"
            return Check(name, "broken", f"{here.version} here, {reason}")
    return Check(name, "available", here.version)


def _workers(database: Check, workers: Sequence[LiveWorker]) -> Check:
    if not database.is_good:
        return Check("workers", "missing", "the database does not say")
    if not workers:
        return Check(
            "workers", "missing", "none is live: `make run`, or `sentrascan worker`"
        )
    return Check("workers", "available", f"{len(workers)} live")


def _sandbox(workers: Sequence[LiveWorker]) -> Check:
    rung = chosen_rung()
    names = sorted({rung.name, *(worker.sandbox for worker in workers)})
    level = ", ".join(name for name in names if name)
    if not rung.is_enough:
        detail = f"{level} is all there is, and SENTRASCAN_SANDBOX is `required`"
        return Check("sandbox", "broken", detail)
    if Rung.RLIMITS in names:
        level += ": a tool can read and change every file that the worker's account can"
    return Check("sandbox", "available", level)


def _hosts(workers: Sequence[LiveWorker]) -> Check:
    """Say which tools are kept warm. Cold ones are slower, and nothing else."""
    if not settings.HAS_WARM_HOSTS:
        return Check("hosts", "available", "off: each scan starts its tools anew")
    seen = [
        (worker.name, name, one.get("host", ""))
        for worker in workers
        for name, one in (worker.scanners or {}).items()
    ]
    cold = [f"{name} in {worker}: {why}" for worker, name, why in seen if why != WARM]
    warm = f"{len(seen) - len(cold)} of {len(seen)} warm"
    return Check("hosts", "available", "; ".join([warm, *cold]))


def _version() -> str:
    version = connection.get_database_version()
    return ".".join(str(part) for part in version)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
