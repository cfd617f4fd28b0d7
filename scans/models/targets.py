"""What is scanned, under the name its owner gives it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils import timezone

from scanners.contract import TargetKind
from scans.ids import uuid7


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest scan that told of a target; `scan_id` is None before the first."""

    at: datetime
    scan_id: uuid.UUID | None


class TargetQuerySet(models.QuerySet["Target"]):
    def advance(
        self, target_id: uuid.UUID, *, at: datetime, scan_id: uuid.UUID
    ) -> Seen | None:
        """Make this scan the newest of its target, and return the one before it.

        None when a newer one has been recorded already, or the target is gone. Holds
        the target's row until the transaction ends: its scans are remembered in turn.
        """
        # Not FOR UPDATE: whoever submits a scan of it meanwhile need not wait.
        rows = self.select_for_update(no_key=True).filter(pk=target_id)
        row = rows.values_list("last_scan_at", "last_scan_id").first()
        if row is None or (row[1] is not None and row[0] > at):
            return None
        self.filter(pk=target_id).update(last_scan_at=at, last_scan_id=scan_id)
        return Seen(*row)


class Target(models.Model):
    """One name under which things are scanned again and again."""

    target_id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    scan_type = models.CharField(max_length=10, choices=TargetKind)
    name = models.CharField(max_length=500)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # The newest completed scan that was recorded. It may be deleted; before the first
    # there is none, and the moment is that of the target's making.
    last_scan_at = models.DateTimeField(default=timezone.now, editable=False)
    last_scan_id = models.UUIDField(null=True, blank=True, editable=False)

    objects = TargetQuerySet.as_manager()

    class Meta:
        db_table = "targets"
        indexes = [
            # The list of targets, the last scanned first.
            models.Index(
                fields=["-last_scan_at", "-target_id"], name="scans_target_last"
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["scan_type", "name"], name="scans_target_name"
            ),
            models.CheckConstraint(
                condition=Q(scan_type__in=TargetKind.values),
                name="scans_target_type_known",
            ),
        ]

    def __str__(self) -> str:
        return self.name
