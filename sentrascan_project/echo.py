"""Repeats in the web service's log what went wrong in the workers' (CONTRACT, Logs).

An operator looks at the log of `api`. Each run that did not complete gets one line
there at level ERROR, with `scanner` and `error`, from one of all web processes: the
cache says which. While it is away each process tells: better twice than not at all.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid

from django.core.cache import cache
from django.db import InterfaceError, OperationalError, connection
from redis.exceptions import RedisError

from scans.choices import RunStatus
from scans.models import ScannerRun

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
# Covers the commit of a run, the clocks of several hosts, and a restart of ours.
WINDOW_SECONDS = 120
CLAIM_SECONDS = 3600


def start() -> threading.Thread:
    """Begin to look, in a thread of this process; call it after the fork."""
    thread = threading.Thread(target=_look_for_ever, name="echo", daemon=True)
    thread.start()
    return thread


def look(told: set[uuid.UUID]) -> set[uuid.UUID]:
    """Log the recent runs that did not complete and are not in `told`; return all."""
    # Run ids begin with their time: the primary key finds the recent ones.
    since = uuid.UUID(int=int((time.time() - WINDOW_SECONDS) * 1000) << 80)
    failed = ScannerRun.objects.filter(
        pk__gte=since, status__in=[RunStatus.FAILED, RunStatus.TIMED_OUT]
    )
    columns = ("run_id", "scan_id", "scanner", "status", "error")
    rows = list(failed.order_by("run_id").values(*columns)[:1000])
    for row in rows:
        if row["run_id"] not in told and _is_ours(row["run_id"]):
            logger.error(
                "%s %s in scan %s: %s",
                *(row["scanner"], row["status"], row["scan_id"], row["error"]),
                extra={
                    "scanner": row["scanner"],
                    "error": row["error"],
                    "scan_id": str(row["scan_id"]),
                },
            )
    return {row["run_id"] for row in rows}


def _is_ours(run_id: uuid.UUID) -> bool:
    try:
        return cache.add(f"told:{run_id}", 1, timeout=CLAIM_SECONDS)
    except (RedisError, OSError):
        return True


def _look_for_ever() -> None:
    told: set[uuid.UUID] = set()
    while True:
        try:
            told = look(told)
        except (OperationalError, InterfaceError) as error:
            logger.warning("Cannot see the runs now: %s", error)
        finally:
            # The thread sleeps most of its life: no connection is kept for that.
            connection.close()
        time.sleep(LOOK_SECONDS)
