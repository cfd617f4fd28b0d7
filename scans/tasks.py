"""Celery's door: ids in, nothing out."""

from __future__ import annotations

import logging
import os
import socket
import uuid
from datetime import timedelta

from celery import shared_task
from django.conf import settings
from kombu.exceptions import OperationalError

from scans import pipeline, recording, retention
from scans.models import Lease, Scan

logger = logging.getLogger(__name__)

# A bell that was rung this long ago may be lost. One tick rings the oldest only: a
# long queue is no reason to fill the broker with duplicates.
UNHEARD_SECONDS = 30
RINGS_PER_TICK = 100


@shared_task(
    name="scans.tasks.run_scan",
    acks_late=True,
    time_limit=settings.SCAN_TIMEOUT_SECONDS + 120,
)
def run_scan(scan_id: str) -> None:
    # A pool's child: its parent is the worker that people know.
    owner = f"{worker_name(os.getppid())}/{uuid.uuid4().hex[:8]}"
    pipeline.run(uuid.UUID(scan_id), owner=owner)


def worker_name(pid: int) -> str:
    """Return the name of this host's worker process `pid`."""
    return f"{socket.gethostname()}:{pid}"


def give_back(worker: str) -> None:
    """Queue again what a leaving worker is at; others hear of it at once."""
    for scan_id in Scan.objects.give_back(worker):
        logger.info("Scan %s was given back by %s", scan_id, worker)
        announce(scan_id)


@shared_task(name="scans.tasks.reap")
def reap() -> None:
    """Take back the scans of lost workers, and ring again for those nobody heard."""
    lost = Scan.objects.expired().values_list("pk", "lease_owner", "attempt")
    for scan_id, owner, attempt in lost:
        lease = Lease(scan_id, owner, attempt)
        if attempt >= settings.MAX_ATTEMPTS:
            recording.fail(lease, f"{attempt} attempts were lost with their workers")
        elif Scan.objects.requeue(lease):
            logger.warning("Scan %s lost attempt %s, queued again", scan_id, attempt)
            ring(scan_id)
    unheard = Scan.objects.unheard(seconds=UNHEARD_SECONDS).order_by("created_at")
    for (scan_id,) in unheard.values_list("pk")[:RINGS_PER_TICK]:
        ring(scan_id)


@shared_task(name="scans.tasks.prune")
def prune() -> None:
    """Remove what no row needs any more."""
    retention.sweep(grace=timedelta(minutes=5))


def ring(scan_id: uuid.UUID) -> None:
    """Tell the queue again of a scan that is still queued."""
    if Scan.objects.ring(scan_id):
        announce(scan_id)


def announce(scan_id: uuid.UUID) -> None:
    """Tell the queue of a scan. A broker that is away costs nothing but time."""
    try:
        run_scan.delay(str(scan_id))
    except (OperationalError, OSError) as error:
        logger.warning("Scan %s waits for the broker: %s", scan_id, error)
