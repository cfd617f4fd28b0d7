"""What doctor says, as a page: from what the workers wrote down, with no detection."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from apikeys.choices import Role
from scanners.registry import SCANNERS
from scans.choices import ScanStatus
from scans.console.doors import PageRequest, needs
from scans.exports.shapes import Row
from scans.management.checkup import FIRST, Check, check_broker, check_key
from scans.models import Scan, Worker
from scans.scanner_states import BELIEVED_SECONDS

MANY = 1_000
STATES = ("missing", "broken", "untried", "available")  # the worst first


@require_safe
@needs(Role.VIEWER)
def health(request: PageRequest) -> HttpResponse:
    workers = list(Worker.objects.live().order_by("name"))
    scanners = [_scanner(name, workers) for name in _in_order()]
    checks = [_database(), check_broker(), _workers(workers), check_key(), _disk()]
    context = {
        "checks": checks,
        "scanners": scanners,
        "workers": workers,
        "queue": _queue(),
        "kept": _kept(),
        "is_good": all(c.is_good for c in checks)
        and all(s["status"] == "available" for s in scanners),
    }
    return render(request, "console/health.html", context)


def _in_order() -> list[str]:
    return [*FIRST, *sorted(set(SCANNERS) - set(FIRST))]


def _scanner(name: str, workers: list[Worker]) -> Row:
    """Return one scanner: as bad as it is on the worker where it is worst."""
    seen = [_on_worker(name, worker) for worker in workers]
    if not seen:
        worst = {"status": "untried", "reason": "No worker is alive."}
    else:
        worst = min(seen, key=lambda one: STATES.index(one["status"]))
    versions = {one["version"] for one in seen if one.get("version")}
    return {
        "name": name,
        "status": worst["status"],
        "reason": worst["reason"],
        "worker": worst.get("worker", "") if worst["reason"] else "",
        "versions": sorted(versions),
        "kinds": sorted(SCANNERS[name].kinds) if name in SCANNERS else [],
        "tried_at": max((o["tried_at"] for o in seen if o["tried_at"]), default=None),
        "warm": sum(one["host"] == "warm" for one in seen),
        "of": len(seen),
    }


def _on_worker(name: str, worker: Worker) -> Row:
    told: dict[str, Any] = worker.scanners.get(name) or {}
    tried_at = (
        datetime.fromtimestamp(told["tried_at"], UTC) if "tried_at" in told else None
    )
    status, reason = told.get("status", "untried"), told.get("reason", "")
    is_old = tried_at and (timezone.now() - tried_at).total_seconds() > BELIEVED_SECONDS
    if not told:
        reason = "This worker has not tried it yet."
    elif is_old or status not in STATES:
        status, reason = "untried", "It was tried too long ago to be believed."
    return {
        "worker": worker.name,
        "status": status,
        "reason": reason,
        "version": told.get("version", ""),
        "host": told.get("host", ""),
        "tried_at": tried_at,
    }


def _database() -> Check:
    # It has answered already: somebody is signed in.
    version = ".".join(str(part) for part in connection.get_database_version())
    return Check("database", "available", f"{connection.display_name} {version}")


def _workers(workers: list[Worker]) -> Check:
    if not workers:
        return Check("workers", "missing", "none is alive")
    sandboxes = sorted({worker.sandbox for worker in workers if worker.sandbox})
    how = f", sandbox {', '.join(sandboxes)}" if sandboxes else ""
    return Check("workers", "available", f"{len(workers)} alive{how}")


def _disk() -> Check:
    free = shutil.disk_usage(settings.DATA_DIR).free
    said = f"{free / 1e9:.1f} GB free"
    if free < settings.MIN_FREE_BYTES:
        least = settings.MIN_FREE_BYTES / 1e9
        return Check(
            "disk", "broken", f"{said}; below {least:.1f} GB nothing is accepted"
        )
    return Check("disk", "available", said)


def _queue() -> Row:
    """How much waits and runs, counted to MANY, and since when the oldest waits."""
    queued = Scan.objects.queued().order_by("created_at")
    running = Scan.objects.filter(scan_status=ScanStatus.RUNNING)
    return {
        "queued": queued.order_by()[: MANY + 1].count(),
        "oldest": queued.values_list("created_at", flat=True).first(),
        "running": running[: MANY + 1].count(),
        "stalled": Scan.objects.expired()[: MANY + 1].count(),
    }


def _kept() -> list[tuple[str, str]]:
    ages = {
        "Scans": settings.KEEP_SCANS,
        "Submitted bytes": settings.KEEP_UPLOADS,
        "Audit events": settings.KEEP_AUDIT,
    }
    told = [(name, _length(age)) for name, age in ages.items()]
    if most := settings.KEEP_SCANS_PER_TARGET:
        told.append(("Scans of one target", f"the newest {most}"))
    return told


def _length(age: timedelta | None) -> str:
    if age is None:
        return "for ever"
    hours = int(age.total_seconds() // 3600)
    return f"{age.days} days" if hours % 24 == 0 else f"{hours} hours"
