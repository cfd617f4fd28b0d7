"""The worker processes that are alive, and what each can do."""

from __future__ import annotations

import socket
from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.utils import timezone

LIVE = timedelta(seconds=45)


def worker_name(pid: int) -> str:
    """Return the name of this host's worker process `pid`."""
    return f"{socket.gethostname()}:{pid}"


def live_since() -> datetime:
    """Return since when a worker must have been seen to be live now."""
    return timezone.now() - LIVE


class WorkerQuerySet(models.QuerySet["Worker"]):
    def live(self) -> Self:
        return self.seen_since(live_since())

    def seen_since(self, moment: datetime) -> Self:
        return self.filter(seen_at__gte=moment)


class Worker(models.Model):
    """One worker process: its sandbox, and what each scanner's detection gave there."""

    name = models.CharField(max_length=200, primary_key=True)
    started_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)
    sandbox = models.CharField(max_length=20, blank=True)
    # scans.rulesets: what its scans rest on.
    rules = models.CharField(max_length=64, blank=True)
    # {scanner: {"status": "available|missing|broken", "version", "reason", "host",
    # "tried_at": seconds since 1970}}
    scanners = models.JSONField(default=dict)

    objects = WorkerQuerySet.as_manager()

    class Meta:
        db_table = "workers"

    def __str__(self) -> str:
        return self.name
