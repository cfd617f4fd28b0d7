"""Submitted bytes, stored once by their SHA-256, and which scan uses them."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from scans.ids import uuid7


class UploadQuerySet(models.QuerySet["Upload"]):
    def unused(self, *, before: datetime) -> Self:
        """Bytes that no scan needs and nobody submitted since `before`."""
        used = ScanFile.objects.filter(upload=OuterRef("pk"))
        return self.filter(~Exists(used), last_used_at__lt=before)


class Upload(models.Model):
    upload_id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    sha256 = models.CharField(max_length=64, unique=True)
    size_bytes = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = UploadQuerySet.as_manager()

    class Meta:
        db_table = "uploads"
        indexes = [
            # Retention's question: what has nobody asked for lately?
            models.Index(fields=["last_used_at"], name="scans_upload_last_used"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(sha256__regex=r"^[0-9a-f]{64}$"),
                name="scans_upload_sha256_form",
            ),
        ]

    def __str__(self) -> str:
        return self.sha256


class ScanFile(models.Model):
    """The name under which one scan submitted some stored bytes."""

    scan = models.ForeignKey("scans.Scan", models.DB_CASCADE, related_name="files")
    upload = models.ForeignKey(Upload, models.DB_CASCADE, related_name="uses")
    name = models.CharField(max_length=500)

    class Meta:
        db_table = "scan_files"
        constraints = [
            models.UniqueConstraint(fields=["scan", "name"], name="scans_file_once"),
        ]

    def __str__(self) -> str:
        return self.name
