"""What is true of the installation as a whole."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone


class InstallationKey(models.Model):
    """By what the installation key is known; the key itself is never in the database.

    The row says that something needs the key: a lost one is then not made anew.
    """

    row = models.PositiveSmallIntegerField(primary_key=True, default=1)
    # A digest derived from the key: scans.sealing
    key_id = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "installation_key"
        constraints = [
            models.CheckConstraint(condition=Q(row=1), name="scans_key_is_one"),
        ]

    def __str__(self) -> str:
        return self.key_id[:12]
