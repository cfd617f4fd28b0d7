"""One scanner's turn in one scan, and what it found."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from scanners.contract import Category, Severity
from scans.choices import RunStatus
from scans.ids import uuid7
from scans.models.copying import CopyingQuerySet


class ScannerRun(models.Model):
    """Proof that a scanner looked, or the reason why it did not."""

    run_id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    scan = models.ForeignKey("scans.Scan", models.DB_CASCADE, related_name="runs")
    scanner = models.CharField(max_length=50)  # no choices: rows outlive adapters
    tool_version = models.CharField(max_length=50, blank=True)
    # SHA-256 of the lock that the tool was installed from; "" for a program of ours.
    lock_digest = models.CharField(max_length=64, blank=True)
    status = models.CharField(max_length=10, choices=RunStatus)
    sandbox = models.CharField(max_length=20, blank=True)
    # The scan whose stored result this one is, where nothing had changed.
    reused_from = models.UUIDField(null=True, blank=True)
    duration_ms = models.PositiveIntegerField(default=0)
    findings_count = models.PositiveIntegerField(default=0)
    coverage = models.JSONField(default=dict)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "scanner_runs"
        ordering = ["scanner"]
        constraints = [
            models.UniqueConstraint(
                fields=["scan", "scanner"], name="scans_run_once_per_scan"
            ),
            models.CheckConstraint(
                condition=Q(status__in=RunStatus.values), name="scans_run_status_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scanner} {self.status}"


class FindingQuerySet(CopyingQuerySet["Finding"]):
    """`insert_many`: a scan may have tens of thousands."""


class Finding(models.Model):
    """One weakness, at one place, in one scan."""

    finding_id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    scan = models.ForeignKey(
        "scans.Scan", models.DB_CASCADE, related_name="findings", db_index=False
    )
    scanner = models.CharField(max_length=50)
    rule = models.CharField(max_length=200)
    severity = models.PositiveSmallIntegerField(choices=Severity)
    category = models.CharField(max_length=30, choices=Category)
    title = models.CharField(max_length=500)
    description = models.TextField(blank=True)
    location = models.JSONField(default=dict)
    evidence = models.JSONField(default=dict)
    remediation = models.TextField(blank=True)
    # cwe, owasp_llm, owasp_mcp, atlas: as the catalogue said when the scan ran.
    taxonomy = models.JSONField(default=dict)
    fingerprint = models.CharField(max_length=70)
    is_new = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = FindingQuerySet.as_manager()

    class Meta:
        db_table = "findings"
        ordering = ["-severity", "finding_id"]
        indexes = [
            # Findings of one scan, worst first; also what the cascade walks.
            models.Index(
                fields=["scan", "-severity", "finding_id"], name="scans_finding_of_scan"
            ),
            # Findings across scans, newest first.
            models.Index(
                fields=["-created_at", "-finding_id"], name="scans_finding_newest"
            ),
            # Those that are looked for most and are fewest: in the list of all, a page
            # of them is a hundred thousand findings long.
            models.Index(
                fields=["-created_at", "-finding_id"],
                condition=Q(severity=Severity.CRITICAL),
                name="scans_finding_critical",
            ),
            # GET /findings?rule=...: one of hundreds, newest first, however rare.
            models.Index(
                fields=["rule", "-created_at", "-finding_id"], name="scans_finding_rule"
            ),
            # GET /findings?scanner=..., ?category=..., ?severity=...: a frequent one
            # fills a page of the newest soon, and these count it. A rare one is read
            # off them and sorted. Few values: a seventh of the size of one in order.
            models.Index(fields=["scanner"], name="scans_finding_scanner"),
            models.Index(fields=["category"], name="scans_finding_category"),
            models.Index(fields=["severity"], name="scans_finding_severity"),
        ]
        constraints = [
            # The fingerprint first: one index for this and for where it was found.
            models.UniqueConstraint(
                fields=["fingerprint", "scan"], name="scans_finding_once_per_scan"
            ),
            models.CheckConstraint(
                condition=Q(severity__in=Severity.values),
                name="scans_finding_severity_known",
            ),
            models.CheckConstraint(
                condition=Q(category__in=Category.values),
                name="scans_finding_category_known",
            ),
        ]

    def __str__(self) -> str:
        return self.title
