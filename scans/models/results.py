"""What scanners said before, and who is about to find it out."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Self

from django.db import IntegrityError, models
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now
from django.utils import timezone

from scans.choices import ScanStatus
from scans.models.scans import Lease, Scan


class StoredResultQuerySet(models.QuerySet["StoredResult"]):
    def unused(self, *, before: datetime) -> Self:
        """Results that no scan has used since `before`."""
        return self.filter(last_used_at__lt=before)

    def replace(self, rows: Iterable[StoredResult]) -> None:
        """Keep `rows`, each in the place of what was stored under its key."""
        # In one order, or two workers would deadlock.
        self.bulk_create(
            sorted(rows, key=lambda row: row.key),
            update_conflicts=True,
            unique_fields=["key"],
            update_fields=["run", "scanner", "report", "created_at", "last_used_at"],
        )

    def touch(self, keys: Iterable[str]) -> None:
        self.filter(pk__in=list(keys)).update(last_used_at=timezone.now())


class StoredResult(models.Model):
    """The report of a complete run, under the digest of all that decided it.

    It goes with its run, and so with its scan: what somebody deletes is not told again.
    """

    key = models.CharField(max_length=64, primary_key=True)
    run = models.OneToOneField(
        "scans.ScannerRun", models.DB_CASCADE, related_name="stored_result"
    )
    scanner = models.CharField(max_length=50)
    # scans.reports, secrets masked. Text, since jsonb cannot hold all that tools quote.
    report = models.TextField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = StoredResultQuerySet.as_manager()

    class Meta:
        db_table = "stored_results"
        indexes = [
            # Retention's question: what has no scan used lately?
            models.Index(fields=["last_used_at"], name="scans_result_last_used"),
            # A scanner that no longer detects: what it said is forgotten.
            models.Index(fields=["scanner"], name="scans_result_scanner"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(key__regex=r"^[0-9a-f]{64}$"), name="scans_result_key_form"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scanner} {self.key[:12]}"


class ResultClaimQuerySet(models.QuerySet["ResultClaim"]):
    def held(self) -> Self:
        """Claims whose scan is still run by the worker that made them."""
        holder = Scan.objects.filter(
            pk=OuterRef("scan_id"),
            scan_status=ScanStatus.RUNNING,
            lease_owner=OuterRef("owner"),
            attempt=OuterRef("attempt"),
            lease_expires_at__gte=Now(),
        )
        return self.filter(Exists(holder))

    def take(self, key: str, lease: Lease) -> bool:
        """Claim `key`; False when a living worker has it. Of many exactly one gets it.

        Where the scan of `lease` is gone, nobody is waited for.
        """
        try:
            claim, is_ours = self.get_or_create(key=key, defaults=_of(lease))
            if is_ours:
                return True
            if self.held().filter(pk=key).exists():
                return False
            seen = (claim.scan_id, claim.owner, claim.attempt)
            return self._same(key, *seen).update(**_of(lease)) == 1
        except (IntegrityError, ResultClaim.DoesNotExist):
            return not Scan.objects.held(lease).exists()

    def _same(self, key: str, scan_id: uuid.UUID, owner: str, attempt: int) -> Self:
        return self.filter(pk=key, scan_id=scan_id, owner=owner, attempt=attempt)


def _of(lease: Lease) -> dict[str, object]:
    return {"scan_id": lease.scan_id, "owner": lease.owner, "attempt": lease.attempt}


class ResultClaim(models.Model):
    """Who runs the tools that others wait for. It lives as long as its scan's lease."""

    key = models.CharField(max_length=64, primary_key=True)
    scan = models.ForeignKey("scans.Scan", models.DB_CASCADE, related_name="+")
    owner = models.CharField(max_length=200)
    attempt = models.PositiveSmallIntegerField()

    objects = ResultClaimQuerySet.as_manager()

    class Meta:
        db_table = "result_claims"

    def __str__(self) -> str:
        return f"{self.key[:12]} of {self.scan_id}"
