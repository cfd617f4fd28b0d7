"""What is remembered of a target's findings, across its scans."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from django.db import connections, models
from django.db.models import F, Q

from scanners.contract import Category, Severity
from scans.ids import uuid7
from scans.models.copying import BATCH

# In the database alone: the rows are there already, and fifty thousand need not be made
# again in Python while the target's row is held.
_NEW = """
INSERT INTO target_findings (target_finding_id, target_id, fingerprint, scanner, rule,
    severity, category, title, location, first_seen_at, first_scan_id, times_reopened)
SELECT findings.finding_id, scans.target_id, findings.fingerprint, findings.scanner,
    findings.rule, findings.severity, findings.category, findings.title,
    findings.location, scans.created_at, scans.scan_id, 0
FROM findings JOIN scans ON scans.scan_id = findings.scan_id
WHERE findings.scan_id = %s AND NOT EXISTS (
    SELECT 1 FROM target_findings AS known
    WHERE known.target_id = scans.target_id
        AND known.fingerprint = findings.fingerprint)
"""


class TargetFindingQuerySet(models.QuerySet["TargetFinding"]):
    def open(self) -> TargetFindingQuerySet:
        return self.filter(resolved_at=None)

    def resolved(self) -> TargetFindingQuerySet:
        return self.filter(resolved_at__isnull=False)

    def reopened(self) -> TargetFindingQuerySet:
        """Open again, after they had been resolved at least once."""
        return self.open().filter(times_reopened__gt=0)

    def add_new_of(self, scan_id: uuid.UUID) -> None:
        """Remember what this scan found and its target does not know.

        A row has the id of the finding that was the first.
        """
        connection = connections[self.db]
        key = self.model._meta.pk.get_db_prep_value(scan_id, connection)
        with connection.cursor() as cursor:
            cursor.execute(_NEW, [key])

    # The state changes below and nowhere else, while the target's row is locked.
    # `seen_*` is of the last scan that found it, `at` and `scan_id` of this one.

    def resolve(
        self,
        keys: Sequence[uuid.UUID],
        *,
        at: datetime,
        scan_id: uuid.UUID,
        seen_at: datetime,
        seen_in: uuid.UUID | None,
    ) -> None:
        # One that an earlier scan could not look for was last seen before that.
        self._lose(keys, seen_at, seen_in)
        for rows in self._open(keys):
            rows.update(resolved_at=at, resolved_scan_id=scan_id)

    def lose_sight(
        self,
        keys: Sequence[uuid.UUID],
        *,
        seen_at: datetime,
        seen_in: uuid.UUID | None,
    ) -> None:
        """Note that a scan could not look for them: they stay open."""
        self._lose(keys, seen_at, seen_in)

    def confirm(self, keys: Sequence[uuid.UUID]) -> None:
        for rows in self._open(keys):
            rows.update(last_seen_at=None, last_scan_id=None)

    def reopen(self, keys: Sequence[uuid.UUID], *, at: datetime) -> None:
        for batch in _batches(keys):
            self.resolved().filter(pk__in=batch).update(
                resolved_at=None,
                resolved_scan_id=None,
                last_seen_at=None,
                last_scan_id=None,
                reopened_at=at,
                times_reopened=F("times_reopened") + 1,
            )

    def _lose(
        self, keys: Sequence[uuid.UUID], at: datetime, scan_id: uuid.UUID | None
    ) -> None:
        for rows in self._open(keys):
            seen_now = rows.filter(last_seen_at=None)
            seen_now.update(last_seen_at=at, last_scan_id=scan_id)

    def _open(self, keys: Sequence[uuid.UUID]) -> list[TargetFindingQuerySet]:
        return [self.open().filter(pk__in=batch) for batch in _batches(keys)]


def _batches(keys: Sequence[uuid.UUID]) -> list[Sequence[uuid.UUID]]:
    return [keys[start : start + BATCH] for start in range(0, len(keys), BATCH)]


class TargetFinding(models.Model):
    """One weakness of one target: since when, until when, how often it came back.

    It survives the scans that found it, so it keeps their ids and no keys to them, and
    what people know it by. A scan that finds what the one before it found writes
    nothing here: `last_seen_at` is NULL while the newest scan of the target sees it.
    """

    target_finding_id = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    target = models.ForeignKey(
        "scans.Target", models.DB_CASCADE, related_name="findings", db_index=False
    )
    fingerprint = models.CharField(max_length=70)
    scanner = models.CharField(max_length=50)
    rule = models.CharField(max_length=200)
    severity = models.PositiveSmallIntegerField(choices=Severity)
    category = models.CharField(max_length=30, choices=Category)
    title = models.CharField(max_length=500)
    location = models.JSONField(default=dict)
    first_seen_at = models.DateTimeField()
    first_scan_id = models.UUIDField()
    last_seen_at = models.DateTimeField(null=True, blank=True)
    last_scan_id = models.UUIDField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_scan_id = models.UUIDField(null=True, blank=True)
    reopened_at = models.DateTimeField(null=True, blank=True)
    times_reopened = models.PositiveIntegerField(default=0)

    objects = TargetFindingQuerySet.as_manager()

    class Meta:
        db_table = "target_findings"
        ordering = ["-severity", "target_finding_id"]
        indexes = [
            # The findings of one target, worst first; also what the cascade walks.
            models.Index(
                fields=["target", "-severity", "target_finding_id"],
                name="scans_targetfinding_worst",
            ),
            # A scan that is recorded: what was open? It does not read what is over.
            models.Index(
                fields=["target"],
                condition=Q(resolved_at=None),
                name="scans_targetfinding_open",
            ),
            # Retention: what has been over for long?
            models.Index(
                fields=["resolved_at"],
                condition=Q(resolved_at__isnull=False),
                name="scans_targetfinding_over",
            ),
        ]
        constraints = [
            # The fingerprint second: what is found again is looked up by both.
            models.UniqueConstraint(
                fields=["target", "fingerprint"], name="scans_targetfinding_once"
            ),
            models.CheckConstraint(
                condition=Q(severity__in=Severity.values),
                name="scans_targetfinding_severity_known",
            ),
            models.CheckConstraint(
                condition=Q(resolved_at=None) | Q(last_seen_at__isnull=False),
                name="scans_targetfinding_resolved_was_seen",
            ),
        ]

    def __str__(self) -> str:
        return self.title
