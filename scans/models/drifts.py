"""How a scan differed from the baseline that was active when it was judged."""

from __future__ import annotations

from django.db import models


class ScanDrift(models.Model):
    """Exists where a baseline was active, also when nothing differed.

    It keeps the baseline's id and not a key to it: the baseline may go, what was seen
    stays seen.
    """

    scan = models.OneToOneField(
        "scans.Scan", models.DB_CASCADE, primary_key=True, related_name="drift"
    )
    baseline_id = models.UUIDField()
    # [{"kind", "element", "path", "before", "after", "severity", "nature"}]
    changes = models.JSONField(default=list)
    omitted = models.PositiveIntegerField(default=0)
    # Sentences: what could not be compared, each a gap of the scan.
    not_compared = models.JSONField(default=list)

    class Meta:
        db_table = "scan_drifts"

    def __str__(self) -> str:
        return str(self.scan_id)
