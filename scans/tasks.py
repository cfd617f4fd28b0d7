"""Celery's door: ids in, nothing out."""

from __future__ import annotations

import logging
import os
import uuid
from typing import Any

from celery import current_app, shared_task
from django.conf import settings
from django.utils import timezone
from kombu import Connection
from kombu.exceptions import ChannelError, OperationalError

from scans import measures, pipeline, pruning, recording
from scans.models import Lease, Scan, ScanDay, worker_name

logger = logging.getLogger(__name__)

# A bell that was rung this long ago may be lost.
UNHEARD_SECONDS = 30
RINGS_PER_TICK = 100
# Scans that have waited once already do not wait behind all others again.
QUEUE, QUEUE_AGAIN = "scans", "scans-again"
QUEUES = f"{QUEUE},{QUEUE_AGAIN}"


@shared_task(
    name="scans.tasks.run_scan",
    acks_late=True,
    time_limit=settings.SCAN_TIMEOUT_SECONDS + 120,
)
def run_scan(scan_id: str) -> None:
    # A pool's child: its parent is the worker that people know.
    owner = f"{worker_name(os.getppid())}/{uuid.uuid4().hex[:8]}"
    pipeline.run(uuid.UUID(scan_id), owner=owner)


def give_back(worker: str) -> None:
    """Queue again what a leaving worker is at; others hear of it at once."""
    for scan_id in Scan.objects.give_back(worker):
        logger.info("Scan %s was given back by %s", scan_id, worker)
        announce(scan_id, queue=QUEUE_AGAIN)


@shared_task(name="scans.tasks.reap")
def reap() -> None:
    """Take back the scans of lost workers, and ring again for those nobody heard."""
    take_back()
    ring_again()
    measures.note_task("reap")


def take_back() -> None:
    """Queue the scans of lost workers again, or end them at their last attempt."""
    lost = Scan.objects.expired().values_list("pk", "lease_owner", "attempt")
    taken = 0
    for scan_id, owner, attempt in lost:
        lease = Lease(scan_id, owner, attempt)
        if attempt >= settings.MAX_ATTEMPTS:
            reason = f"{attempt} attempts were lost with their workers"
            taken += recording.fail(lease, reason)
        elif Scan.objects.requeue(lease):
            logger.warning("Scan %s lost attempt %s, queued again", scan_id, attempt)
            announce(scan_id, queue=QUEUE_AGAIN)
            taken += 1
    if taken:
        measures.count_lost(taken)


def ring_again() -> None:
    """Ring for queued scans whose bell may be lost with the broker."""
    unheard = Scan.objects.unheard(seconds=UNHEARD_SECONDS).order_by("created_at")
    if not unheard.exists():
        return
    # A long queue is no reason to fill the broker with duplicates: as many messages as
    # there are fewer than queued scans have been lost.
    lost_bells = Scan.objects.queued().count() - waiting_messages()
    for (scan_id,) in unheard.values_list("pk")[
        : max(0, min(lost_bells, RINGS_PER_TICK))
    ]:
        if Scan.objects.ring(scan_id):
            announce(scan_id)


def waiting_messages() -> int:
    """Return how many bells nobody has heard yet; 0 where the broker is away."""
    try:
        with current_app.connection_for_write() as broker:
            return sum(_messages_in(broker, queue) for queue in (QUEUE, QUEUE_AGAIN))
    except (OperationalError, OSError):
        return 0


def _messages_in(broker: Connection, queue: str) -> int:
    channel: Any = broker.default_channel
    try:
        declared = channel.queue_declare(queue=queue, passive=True)
    except ChannelError:
        return 0  # nobody has asked for this queue yet, or it is empty
    return int(declared.message_count)


@shared_task(name="scans.tasks.prune")
def prune() -> None:
    """Remove what the settings do not keep, and bytes that no row needs any more."""
    pruning.take_turn()
    measures.note_task("prune")


@shared_task(name="scans.tasks.count_days")
def count_days() -> None:
    """Keep what past days found, so that no look at the overview counts it."""
    ScanDay.objects.renew(timezone.now())
    measures.note_task("count_days")


def announce(scan_id: uuid.UUID, *, queue: str = QUEUE) -> None:
    """Tell the queue of a scan. A broker that is away costs nothing but time."""
    try:
        run_scan.apply_async((str(scan_id),), queue=queue)
    except (OperationalError, OSError) as error:
        logger.warning("Scan %s waits for the broker: %s", scan_id, error)
