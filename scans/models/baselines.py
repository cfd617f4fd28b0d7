"""Approved snapshots of a target."""

from __future__ import annotations

import uuid
from typing import Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from scanners.contract import TargetKind
from scans.choices import BaselineStatus
from scans.ids import uuid7


class BaselineQuerySet(models.QuerySet["Baseline"]):
    def active(self) -> Self:
        return self.filter(status=BaselineStatus.ACTIVE)

    def of_target(self, scan_type: str, target: str) -> Self:
        return self.filter(scan_type=scan_type, target=target)

    def approve(self, baseline_id: uuid.UUID, *, by: str) -> bool:
        return self._move(
            baseline_id,
            BaselineStatus.PROPOSED,
            status=BaselineStatus.ACTIVE,
            approved_at=timezone.now(),
            approved_by=by,
        )

    def retire(self, baseline_id: uuid.UUID, *, by: str) -> bool:
        return self._move(
            baseline_id,
            BaselineStatus.ACTIVE,
            status=BaselineStatus.RETIRED,
            retired_at=timezone.now(),
            retired_by=by,
        )

    def _move(
        self, baseline_id: uuid.UUID, source: BaselineStatus, **fields: object
    ) -> bool:
        return self.filter(pk=baseline_id, status=source).update(**fields) == 1


class Baseline(models.Model):
    """What a target looked like in one finished scan; in force once approved.

    It holds its own copy: deleting the scan, or its target, changes nothing here.
    """

    baseline_id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    scan_type = models.CharField(max_length=10, choices=TargetKind)
    target = models.CharField(max_length=500)
    target_record = models.ForeignKey(
        "scans.Target", models.DB_SET_NULL, null=True, db_column="target_id"
    )
    scan = models.ForeignKey(
        "scans.Scan", models.DB_SET_NULL, null=True, related_name="+"
    )
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    status = models.CharField(
        max_length=10, choices=BaselineStatus, default=BaselineStatus.PROPOSED
    )
    digest = models.CharField(max_length=64, blank=True)
    # {"elements": [...], "document": {...} | null, "fingerprints": [...]}
    snapshot = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.CharField(max_length=200, blank=True)
    approved_at = models.DateTimeField(null=True, blank=True)
    approved_by = models.CharField(max_length=200, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)
    retired_by = models.CharField(max_length=200, blank=True)

    objects = BaselineQuerySet.as_manager()

    class Meta:
        db_table = "baselines"
        ordering = ["-created_at", "-baseline_id"]
        indexes = [
            # The list of baselines, newest first.
            models.Index(
                fields=["-created_at", "-baseline_id"], name="scans_baseline_newest"
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["scan_type", "target"],
                condition=Q(status=BaselineStatus.ACTIVE),
                name="scans_baseline_one_active",
            ),
            models.CheckConstraint(
                condition=Q(status__in=BaselineStatus.values),
                name="scans_baseline_status_known",
            ),
        ]

    def __str__(self) -> str:
        return self.name
