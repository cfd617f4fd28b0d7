"""One request to look at one target, and the gate's answer."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

from django.db import models
from django.db.models import F, Q
from django.db.models.expressions import (
    CombinedExpression,
    ExpressionWrapper,
    RawSQL,
)
from django.db.models.functions import Now
from django.utils import timezone

from scanners.contract import Severity, TargetKind
from scans.choices import ScanStatus, Verdict
from scans.ids import uuid7
from scans.models.json_columns import ListedJsonField

FINISHED = (ScanStatus.COMPLETED, ScanStatus.FAILED, ScanStatus.CANCELLED)
JUDGED = (ScanStatus.COMPLETED, ScanStatus.FAILED)
QUEUED_AGAIN: dict[str, Any] = {
    "scan_status": ScanStatus.QUEUED,
    "lease_owner": "",
    "lease_expires_at": None,
    "progress_stage": "queued",
    "progress_done": 0,
    "progress_total": 0,
}


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one worker to one attempt; a later attempt fences this one out."""

    scan_id: uuid.UUID
    owner: str
    attempt: int


def _in(seconds: float) -> ExpressionWrapper[CombinedExpression]:
    # The database's clock: workers on several hosts need not agree about the time.
    return ExpressionWrapper(
        Now() + timedelta(seconds=seconds), output_field=models.DateTimeField()
    )


def has_any(severity: Severity) -> RawSQL:
    """Return the condition for scans with at least one finding of this severity."""
    # Written out: with a parameter in the place of the 0, a prepared statement could
    # not know that the partial index will do.
    column = f'"scans"."{severity.name.lower()}_count"'
    return RawSQL(f"{column} > 0", [], models.BooleanField())  # noqa: S611 - no input is in it


class ScanQuerySet(models.QuerySet["Scan"]):
    def queued(self) -> Self:
        return self.filter(scan_status=ScanStatus.QUEUED)

    def expired(self) -> Self:
        """Running scans whose worker has not been heard of for a whole lease."""
        return self.filter(scan_status=ScanStatus.RUNNING, lease_expires_at__lt=Now())

    def unheard(self, *, seconds: float) -> Self:
        """Queued scans whose bell was rung so long ago that it may be lost."""
        return self.filter(scan_status=ScanStatus.QUEUED, rung_at__lt=_in(-seconds))

    def at_work(self, worker: str) -> Self:
        """Scans that the processes of `worker` have claimed."""
        return self.filter(
            scan_status=ScanStatus.RUNNING, lease_owner__startswith=f"{worker}/"
        )

    def judged(self) -> Self:
        return self.filter(scan_status__in=JUDGED)

    # A scan changes state in the methods below and nowhere else. Each is one
    # conditional UPDATE: of two workers, or a worker and the reaper, one gets it.

    def claim(self, scan_id: uuid.UUID, *, owner: str, seconds: float) -> Lease | None:
        """Move queued to running; None when somebody else has it or it is over."""
        claimed = self.filter(pk=scan_id, scan_status=ScanStatus.QUEUED).update(
            scan_status=ScanStatus.RUNNING,
            lease_owner=owner,
            lease_expires_at=_in(seconds),
            attempt=F("attempt") + 1,
            started_at=timezone.now(),
            progress_stage="fetch",
            progress_done=0,
            progress_total=0,
        )
        if not claimed:
            return None
        row = self.filter(pk=scan_id, lease_owner=owner).values_list("attempt")
        attempt = row.first()
        return Lease(scan_id, owner, attempt[0]) if attempt else None

    def held(self, lease: Lease) -> Self:
        return self.filter(
            pk=lease.scan_id,
            scan_status=ScanStatus.RUNNING,
            lease_owner=lease.owner,
            attempt=lease.attempt,
        )

    def renew(self, lease: Lease, *, seconds: float) -> bool:
        return self.held(lease).update(lease_expires_at=_in(seconds)) == 1

    def report_fetched(self, lease: Lease, done: int, total: int) -> None:
        """Note the bytes laid out and hashed; `total` is 0 where it is not known."""
        self.held(lease).update(progress_done=done, progress_total=total)

    def report_scanning(self, lease: Lease, *, seconds: int) -> None:
        """Note that scanners run, and the limit: who reads it knows the time."""
        self.held(lease).update(
            progress_stage="scan", progress_done=0, progress_total=seconds
        )

    def finish(self, lease: Lease, status: ScanStatus, **fields: Any) -> bool:
        """Running to completed or failed; False when fenced, cancelled or deleted."""
        return (
            self.held(lease).update(
                scan_status=status,
                finished_at=timezone.now(),
                lease_owner="",
                lease_expires_at=None,
                progress_stage="finished",
                progress_done=F("progress_total"),
                **fields,
            )
            == 1
        )

    def cancel(self, scan_id: uuid.UUID) -> bool:
        return (
            self.filter(
                pk=scan_id, scan_status__in=[ScanStatus.QUEUED, ScanStatus.RUNNING]
            ).update(
                scan_status=ScanStatus.CANCELLED,
                finished_at=timezone.now(),
                lease_owner="",
                lease_expires_at=None,
                progress_stage="cancelled",
            )
            == 1
        )

    def requeue(self, lease: Lease) -> bool:
        """Give an expired attempt's scan back to the queue."""
        return self.held(lease).expired().update(**QUEUED_AGAIN, rung_at=Now()) == 1

    def give_back(self, worker: str) -> list[uuid.UUID]:
        """Queue again what `worker` is at, and return which; the attempt is not lost.

        A worker that was asked to leave is no sign of a scan that kills its workers.
        """
        leases = self.at_work(worker).values_list("pk", "lease_owner", "attempt")
        return [
            lease.scan_id
            for lease in (Lease(*row) for row in leases)
            if self.held(lease).update(
                **QUEUED_AGAIN, attempt=F("attempt") - 1, rung_at=Now()
            )
        ]

    def ring(self, scan_id: uuid.UUID) -> bool:
        """Note that the queue was told of this scan just now."""
        return (
            self.filter(pk=scan_id, scan_status=ScanStatus.QUEUED).update(rung_at=Now())
            == 1
        )


class Scan(models.Model):
    scan_id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    scan_type = models.CharField(max_length=10, choices=TargetKind)
    target = models.CharField(max_length=500)
    scan_status = models.CharField(
        max_length=10, choices=ScanStatus, default=ScanStatus.QUEUED
    )
    verdict = models.CharField(max_length=12, choices=Verdict, null=True, blank=True)
    passed = models.GeneratedField(
        expression=models.Case(
            models.When(verdict__isnull=True, then=models.Value(None)),
            models.When(verdict=Verdict.PASS, then=models.Value(True)),
            default=models.Value(False),
            output_field=models.BooleanField(null=True),
        ),
        output_field=models.BooleanField(null=True),
        db_persist=True,
    )
    total_findings = models.PositiveIntegerField(default=0)
    critical_count = models.PositiveIntegerField(default=0)
    high_count = models.PositiveIntegerField(default=0)
    medium_count = models.PositiveIntegerField(default=0)
    low_count = models.PositiveIntegerField(default=0)
    info_count = models.PositiveIntegerField(default=0)
    new_findings = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    requested_by = models.CharField(max_length=200, blank=True)
    digest = models.CharField(max_length=64, blank=True)
    policy_name = models.CharField(max_length=100)
    policy_version = models.PositiveIntegerField(default=1)
    policy = models.ForeignKey(
        "scans.Policy", models.DB_SET_NULL, null=True, related_name="+"
    )
    target_record = models.ForeignKey(
        "scans.Target",
        models.DB_SET_NULL,
        null=True,
        related_name="scans",
        db_column="target_id",
        db_index=False,
    )
    # scans.rulesets: the rules that the verdict rests on; "" where that is not sure.
    rules = models.CharField(max_length=64, blank=True)
    # Every fitting scanner took part: the scan speaks for these bytes wherever they
    # are, with the verdict in `detail.of_bytes` where its own is one target's.
    is_of_bytes = models.BooleanField(default=False)
    # The baseline that this scan was compared with.
    baseline = models.ForeignKey(
        "scans.Baseline", models.DB_SET_NULL, null=True, related_name="+"
    )
    attempt = models.PositiveSmallIntegerField(default=0)
    lease_owner = models.CharField(max_length=200, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    rung_at = models.DateTimeField(default=timezone.now)
    progress_stage = models.CharField(max_length=20, default="queued")
    # Bytes while it is fetched. While scanners run the total is the limit in seconds.
    progress_done = models.PositiveBigIntegerField(default=0)
    progress_total = models.PositiveBigIntegerField(default=0)

    objects = ScanQuerySet.as_manager()

    class Meta:
        db_table = "scans"
        ordering = ["-created_at", "-scan_id"]
        indexes = [
            # GET /scans: everything, newest first, by keyset.
            models.Index(fields=["-created_at", "-scan_id"], name="scans_scan_newest"),
            # GET /scans?scan_status=...: one status, newest first.
            models.Index(
                fields=["scan_status", "-created_at", "-scan_id"],
                name="scans_scan_status",
            ),
            # The history of one target; the previous finished scan of it. GET
            # /targets?verdict=...: the verdict of each target's newest, read off here.
            models.Index(
                fields=["target_record", "-created_at", "-scan_id", "verdict"],
                name="scans_scan_target",
            ),
            # GET /verdicts/sha256:...: the latest verdict for these bytes.
            models.Index(
                fields=["digest", "policy_name", "-created_at", "-scan_id"],
                condition=Q(is_of_bytes=True),
                name="scans_scan_verdict",
            ),
            # The reaper: what runs without a lease?
            models.Index(
                fields=["lease_expires_at"],
                condition=Q(scan_status=ScanStatus.RUNNING),
                name="scans_scan_lease",
            ),
            # GET /scans?scan_type=..., ?verdict=..., ?target=...: newest first, also
            # where hardly any row of a million is asked for.
            models.Index(
                fields=["scan_type", "-created_at", "-scan_id"], name="scans_scan_type"
            ),
            models.Index(
                fields=["verdict", "-created_at", "-scan_id"], name="scans_scan_judged"
            ),
            models.Index(
                fields=["target", "-created_at", "-scan_id"], name="scans_scan_name"
            ),
            # GET /scans?severity=...: the scans that have one. has_any()
            *(
                models.Index(
                    fields=["-created_at", "-scan_id"],
                    condition=Q(**{f"{severity.name.lower()}_count__gt": 0}),
                    name=f"scans_scan_has_{severity.name.lower()}",
                )
                for severity in Severity
            ),
            # GET /scans?q=... has a trigram index on UPPER(target), to which icontains
            # compiles; PostgreSQL alone has it: migration 0002.
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(scan_type__in=TargetKind.values),
                name="scans_scan_type_known",
            ),
            models.CheckConstraint(
                condition=Q(scan_status__in=ScanStatus.values),
                name="scans_scan_status_known",
            ),
            models.CheckConstraint(
                condition=Q(verdict__isnull=True) | Q(verdict__in=Verdict.values),
                name="scans_scan_verdict_known",
            ),
            models.CheckConstraint(
                condition=Q(verdict__isnull=False, scan_status__in=JUDGED)
                | (Q(verdict__isnull=True) & ~Q(scan_status__in=JUDGED)),
                name="scans_scan_verdict_iff_judged",
            ),
            models.CheckConstraint(
                condition=~Q(scan_status=ScanStatus.FAILED)
                | Q(verdict=Verdict.INCONCLUSIVE),
                name="scans_scan_failed_is_inconclusive",
            ),
            models.CheckConstraint(
                condition=~Q(scan_status=ScanStatus.RUNNING)
                | Q(lease_expires_at__isnull=False),
                name="scans_scan_running_has_lease",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scan_type} scan of {self.target}"


class ScanDetail(models.Model):
    """What would make `SELECT * FROM scans` unreadable."""

    scan = models.OneToOneField(
        Scan, models.DB_CASCADE, primary_key=True, related_name="detail"
    )
    labels = ListedJsonField(default=dict)
    reasons = ListedJsonField(default=list)
    # {"verdict", "reasons"} without the waivers and the baseline of this one target,
    # where it is another.
    of_bytes = ListedJsonField(null=True)
    # All that the gate was told beside findings and runs: {"gaps", "more_gaps",
    # "has_sbom"}. NULL for a scan that was never judged by the gate.
    evidence = models.JSONField(null=True)
    # How many of the target's findings this scan saw gone, and back again.
    resolved_findings = models.PositiveIntegerField(default=0, db_default=0)
    reopened_findings = models.PositiveIntegerField(default=0, db_default=0)
    # How it was asked for: source, scanners, timeout_seconds, introspect...
    options = models.JSONField(default=dict)
    traceparent = models.CharField(max_length=60, blank=True)
    # {scanner: "running" or the status that its turn ended with}, for who watches: only
    # of scans that take longer than a second. What counts is in `scanner_runs`.
    at_work = models.JSONField(null=True)

    class Meta:
        db_table = "scan_details"

    def __str__(self) -> str:
        return str(self.scan_id)


class ScanSnapshot(models.Model):
    """What was looked at, with secrets masked: the stuff of a later baseline."""

    scan = models.OneToOneField(
        Scan, models.DB_CASCADE, primary_key=True, related_name="snapshot"
    )
    # [{"path", "size", "digest"}]
    elements = models.JSONField(default=list)
    document = models.JSONField(null=True)

    class Meta:
        db_table = "scan_snapshots"

    def __str__(self) -> str:
        return str(self.scan_id)
