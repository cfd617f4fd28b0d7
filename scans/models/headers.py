"""Request headers of one scan, encrypted."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.db import models
from django.utils import timezone

from scans.models.scans import FINISHED


class SealedHeadersQuerySet(models.QuerySet["SealedHeaders"]):
    def unused(self, *, before: datetime) -> Self:
        """Of scans that are over, and were asked for before `before`."""
        return self.filter(created_at__lt=before, scan__scan_status__in=FINISHED)


class SealedHeaders(models.Model):
    """What only `scans.request_headers` can open, for one server's origin."""

    scan = models.OneToOneField(
        "scans.Scan", models.DB_CASCADE, primary_key=True, related_name="+"
    )
    sealed = models.BinaryField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = SealedHeadersQuerySet.as_manager()

    class Meta:
        db_table = "sealed_headers"

    def __str__(self) -> str:
        return str(self.scan_id)
