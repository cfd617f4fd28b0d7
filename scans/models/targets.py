"""What is scanned, under the name its owner gives it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from scanners.contract import TargetKind
from scans.ids import uuid7


class Target(models.Model):
    """One name under which things are scanned again and again."""

    target_id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    scan_type = models.CharField(max_length=10, choices=TargetKind)
    name = models.CharField(max_length=500)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "targets"
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
