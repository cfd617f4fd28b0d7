"""`/readyz`: can this installation do its work now? Each part says `ok` or why not."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from functools import cache

import orjson
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse

from scans.management.checkup import check_broker
from scans.models import Worker
from scans.scanner_states import scanner_states

logger = logging.getLogger(__name__)

OK = "ok"
RETRY_SECONDS = 5
# Anybody may ask: several who ask at once share one answer.
FRESH_SECONDS = 1.0
type Checks = dict[str, str]


@dataclass
class Readiness:
    """The latest look, and who is looking right now."""

    checks: Checks = field(default_factory=dict)
    looked_at: float = 0.0
    _looking: threading.Lock = field(default_factory=threading.Lock)

    def ask(self) -> Checks:
        """Return what is true now; while somebody else looks, what was true before.

        A database that is away without a word takes seconds to find out: probes that
        waited for it would use up the threads.
        """
        if time.monotonic() - self.looked_at < FRESH_SECONDS:
            return self.checks
        if not self._looking.acquire(blocking=not self.checks):
            return self.checks
        try:
            if time.monotonic() - self.looked_at >= FRESH_SECONDS:
                self.checks = look()
                self.looked_at = time.monotonic()
            return self.checks
        finally:
            self._looking.release()


_readiness = Readiness()


def readyz(request: HttpRequest) -> HttpResponse:
    """Answer 200 when every part is well, else 503."""
    checks = _readiness.ask()
    is_ready = all(said == OK for said in checks.values())
    body = {"status": OK if is_ready else "unavailable", "checks": checks}
    headers = {"Cache-Control": "no-store"}
    if not is_ready:
        headers["Retry-After"] = str(RETRY_SECONDS)
    status = 200 if is_ready else 503
    return HttpResponse(orjson.dumps(body), "application/json", status, headers=headers)


def look() -> Checks:
    """Look at everything once; nothing is raised."""
    broker = check_broker()
    if not broker.is_good:
        logger.warning("Not ready, the broker: %s", broker.detail)
    told = {"broker": OK if broker.is_good else "it does not answer"}
    try:
        return {"database": OK, "migrations": _migrations(), **told, **_workers()}
    except (DatabaseError, InterfaceError) as error:
        # The error names hosts and users; the answer is for everybody.
        logger.warning("Not ready, the database: %s", " ".join(str(error).split()))
        unknown = "unknown: the database does not answer"
        asked = dict.fromkeys(("migrations", "workers", "scanners"), unknown)
        return {"database": "it does not answer", **told, **asked}


def _migrations() -> str:
    missing = _brought() - set(MigrationRecorder(connection).applied_migrations())
    return f"{len(missing)} are missing" if missing else OK


@cache
def _brought() -> frozenset[tuple[str, str]]:
    """Return the migrations of this release; reading them takes a while."""
    return frozenset(MigrationLoader(None).disk_migrations)


def _workers() -> Checks:
    live = list(Worker.objects.live())
    bad = [
        f"{state.scanner}: {state.reason}"
        for state in scanner_states(live)
        if not state.is_up
    ]
    return {
        "workers": OK if live else "none is alive",
        "scanners": "; ".join(bad) or OK,
    }
