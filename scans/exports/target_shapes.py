"""Targets and their history: rows to JSON, as `shapes.py` does for the rest."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from django.db.models import (
    BooleanField,
    Case,
    Count,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce

from scans.exports.shapes import (
    BASELINE_COLUMNS,
    COUNTS,
    SEVERITY_NAMES,
    Row,
    baseline_shape,
    location_shape,
)
from scans.models import Baseline, Scan, Target, TargetFinding, Waiver

_STEP_SAME = (
    "scan_id",
    "created_at",
    "finished_at",
    "scan_status",
    "verdict",
    "passed",
    *COUNTS,
    "new_findings",
    "baseline_id",
)
_STEP_COLUMNS = (
    *_STEP_SAME,
    *("digest", "policy_name", "policy_version"),
    *("detail__resolved_findings", "detail__reopened_findings"),
)
_FINDING_SAME = (
    "fingerprint",
    "scanner",
    "rule",
    "category",
    "title",
    "first_seen_at",
    "first_scan_id",
    "resolved_at",
    "resolved_scan_id",
    "reopened_at",
    "times_reopened",
)
_newest = Scan.objects.judged().filter(target_record=OuterRef("pk"))
_active = Baseline.objects.active().filter(
    scan_type=OuterRef("scan_type"), target=OuterRef("name")
)
# What every door calls a filter of these, and the column that it looks at.
LOOKUPS = {"scan_type": "scan_type", "name": "name", "q": "name__icontains"}
# One page costs one query, and one more for the newest scans: `with_newest`.
TARGETS = (
    Target.objects.order_by("-last_scan_at", "-target_id")
    .annotate(
        newest=Subquery(_newest.order_by("-created_at", "-scan_id").values("pk")[:1]),
        baseline_id=Subquery(_active.values("pk")[:1]),
    )
    .values(
        *("target_id", "scan_type", "name", "created_at"),
        *("last_scan_at", "last_scan_id", "newest", "baseline_id"),
    )
)
_TARGET_FINDINGS = (
    TargetFinding.objects.annotate(
        seen_at=Coalesce("last_seen_at", "target__last_scan_at"),
        seen_in=Coalesce("last_scan_id", "target__last_scan_id"),
        is_new=Case(
            When(first_scan_id=F("target__last_scan_id"), then=Value(True)),
            default=Value(False),
            output_field=BooleanField(),
        ),
        waiver_id=Subquery(Waiver.objects.of_findings("target__name").values("pk")[:1]),
    )
    .order_by("-severity", "target_finding_id")
    .values(
        *_FINDING_SAME,
        *("target_finding_id", "severity", "location", "last_seen_at"),
        *("seen_at", "seen_in", "is_new", "waiver_id"),
    )
)


def history(target_id: uuid.UUID) -> QuerySet[Any, Any]:
    """Return the judged scans of one target, newest first, for `step_shape`."""
    rows = Scan.objects.judged().filter(target_record_id=target_id)
    steps: QuerySet[Any, Any] = rows.values(*_STEP_COLUMNS)
    return steps.order_by("-created_at", "-scan_id")


def findings_of_target(target_id: uuid.UUID) -> QuerySet[Any, Any]:
    """Return what is remembered of one target, worst first, for `memory_shape`."""
    rows: QuerySet[Any, Any] = _TARGET_FINDINGS.filter(target_id=target_id)
    return rows


def target_shape(row: Row) -> Row:
    """Return one row of TARGETS; `newest_scan` is the id until `with_newest`."""
    is_seen = row["last_scan_id"] is not None
    return {
        "target_id": row["target_id"],
        "scan_type": row["scan_type"],
        "name": row["name"],
        "created_at": row["created_at"],
        "last_completed_at": row["last_scan_at"] if is_seen else None,
        "baseline_id": row["baseline_id"],
        "newest_scan": row["newest"],
    }


def with_newest(targets: Sequence[Row]) -> list[Row]:
    """Put the newest judged scan of each target in the place of its id."""
    keys = [row["newest_scan"] for row in targets if row["newest_scan"]]
    rows = Scan.objects.filter(pk__in=keys).order_by().values(*_STEP_COLUMNS)
    steps = {row["scan_id"]: step_shape(row) for row in rows} if keys else {}
    return [row | {"newest_scan": steps.get(row["newest_scan"])} for row in targets]


def read_target(target_id: uuid.UUID) -> Row | None:
    """Return one target with its active baseline and what is open; None without one."""
    row = TARGETS.filter(pk=target_id).first()
    if row is None:
        return None
    (shaped,) = with_newest([target_shape(row)])
    baseline = Baseline.objects.filter(pk=row["baseline_id"]).values(*BASELINE_COLUMNS)
    found = baseline.first() if row["baseline_id"] else None
    return shaped | {
        "baseline": baseline_shape(found) if found else None,
        "findings": _counts(target_id, row["last_scan_id"]),
    }


def _counts(target_id: uuid.UUID, last_scan_id: uuid.UUID | None) -> Row:
    is_open = Q(resolved_at=None)
    new = is_open & Q(first_scan_id=last_scan_id)
    sums: dict[str, Any] = {
        name: Count("pk", filter=is_open & Q(severity=severity))
        for severity, name in SEVERITY_NAMES.items()
    }
    counted = TargetFinding.objects.filter(target_id=target_id).aggregate(
        open=Count("pk", filter=is_open),
        new=Count("pk", filter=new),
        reopened=Count("pk", filter=is_open & Q(times_reopened__gt=0)),
        unconfirmed=Count("pk", filter=is_open & Q(last_seen_at__isnull=False)),
        resolved=Count("pk", filter=~is_open),
        **sums,
    )
    by_severity = {name: counted.pop(name) for name in SEVERITY_NAMES.values()}
    return counted | {"open_by_severity": by_severity}


def step_shape(row: Row) -> Row:
    """Return one judged scan as a step in its target's history."""
    return {
        **{name: row[name] for name in _STEP_SAME},
        "resolved_findings": row["detail__resolved_findings"] or 0,
        "reopened_findings": row["detail__reopened_findings"] or 0,
        "policy": {"name": row["policy_name"], "version": row["policy_version"]},
        "digest": row["digest"] or None,
    }


def memory_shape(row: Row) -> Row:
    """Return what is remembered of one finding of a target."""
    is_resolved = row["resolved_at"] is not None
    return {
        **{name: row[name] for name in _FINDING_SAME},
        "severity": SEVERITY_NAMES[row["severity"]],
        "location": location_shape(row),
        "state": "resolved" if is_resolved else "open",
        "is_new": row["is_new"] and not is_resolved,
        "last_seen_at": row["seen_at"],
        "last_scan_id": row["seen_in"],
        # Open, and the newest scan could not look: nobody knows whether it is there.
        "is_confirmed": is_resolved or row["last_seen_at"] is None,
        "waived": row["waiver_id"] is not None,
        "waiver_id": row["waiver_id"],
    }
