"""Rows to JSON: which columns are read, and what becomes of them.

Rows come as dicts from `values()` and go to orjson as dicts: a model serializer costs
four times as much for a list of 50. `answers.py` declares the same shapes for people
and for the schema; a test holds the two together.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from django.db.models import Exists, F, OuterRef, Subquery
from django.utils import timezone

from scanners.contract import Severity
from scans.choices import Conflict, NotFound, ScanStatus, Verdict
from scans.models import (
    FINISHED,
    Baseline,
    Finding,
    Policy,
    Scan,
    ScannerRun,
    ScanWaiver,
    Waiver,
)
from scans.models.days import COLUMNS

type Row = dict[str, Any]

# How many findings a scan has, of each severity too.
COUNTS = ("total_findings", *COLUMNS)
_SCAN_SAME = (
    "scan_id",
    "created_at",
    "started_at",
    "finished_at",
    "scan_type",
    "target",
    "scan_status",
    "verdict",
    "passed",
    *COUNTS,
    "new_findings",
    "baseline_id",
    "requested_by",
    "attempt",
)
SCAN_COLUMNS = (
    *_SCAN_SAME,
    "digest",
    "policy_name",
    "policy_version",
    "progress_stage",
    "progress_done",
    "progress_total",
    "detail__labels",
    "detail__reasons",
)
_VERDICT_SAME = (
    "scan_id",
    "scan_type",
    "verdict",
    "passed",
    "reasons",
    *COUNTS,
    "policy",
    "created_at",
    "finished_at",
)
# A verdict reads nothing that it does not answer with, or rest on.
VERDICT_COLUMNS = (
    *(name for name in _VERDICT_SAME if name in _SCAN_SAME),
    "digest",
    "policy_name",
    "policy_version",
    "detail__reasons",
    "detail__of_bytes",
)
_SAME = len(_SCAN_SAME)
_STARTED = _SCAN_SAME.index("started_at")
_FINISHED = _SCAN_SAME.index("finished_at")
_RUN_SAME = (
    "scanner",
    "tool_version",
    "status",
    "sandbox",
    "reused_from",
    "duration_ms",
    "findings_count",
)
_FINDING_SAME = (
    "finding_id",
    "scan_id",
    "scanner",
    "rule",
    "category",
    "title",
    "description",
    "evidence",
    "remediation",
    "fingerprint",
    "is_new",
    "created_at",
)
FINDING_COLUMNS = (*_FINDING_SAME, "severity", "location", "taxonomy", "waiver_id")
BASELINE_COLUMNS = (
    "baseline_id",
    "scan_id",
    "scan_type",
    "target",
    "name",
    "description",
    "status",
    "digest",
    "created_at",
    "created_by",
    "approved_at",
    "approved_by",
    "retired_at",
    "retired_by",
)
WAIVER_COLUMNS = (
    "waiver_id",
    "fingerprint",
    "target",
    "reason",
    "expires_at",
    "created_at",
    "created_by",
)
POLICY_COLUMNS = (
    "policy_id",
    "name",
    "version",
    "document",
    "created_at",
    "created_by",
)
POLICY_DEFAULT_COLUMNS = (
    "policy_default_id",
    "scan_type",
    "pattern",
    "policy_name",
    "created_at",
    "created_by",
)
_APPLIED_COLUMNS = (
    "waiver_id",
    "fingerprint",
    "target",
    "reason",
    "created_by",
    "expires_at",
)
_SNAPSHOT = ("snapshot__elements", "snapshot__document__definitions")
_DRIFT_COLUMNS = (
    "scan_status",
    "baseline_id",
    "drift__baseline_id",
    "drift__changes",
    "drift__omitted",
    "drift__not_compared",
)
# Built once: naming 27 columns takes as long as reading a page of them.
_SCANS = Scan.objects.order_by("-created_at", "-scan_id")
SCANS = _SCANS.values(*SCAN_COLUMNS)
# For `scan_shape_of`: dicts that become other dicts would be a tenth of a page.
SCAN_ROWS = _SCANS.values_list(*SCAN_COLUMNS)
# Waived or not is asked at the moment of reading: an expired waiver covers nothing.
FINDINGS = Finding.objects.annotate(
    waiver_id=Subquery(Waiver.objects.of_findings().values("pk")[:1])
).values(*FINDING_COLUMNS)
# One C call for all that is answered as it is read; a loop takes four times as long.
_scan_values = itemgetter(*SCAN_COLUMNS)
_finding_same = itemgetter(*_FINDING_SAME)
SEVERITY_NAMES = {int(severity): severity.name.lower() for severity in Severity}
_PLACES = ("path", "member", "line", "byte_offset", "server", "tool")
_COVERAGE: Row = {
    "complete": False,
    "files_total": 0,
    "files_scanned": 0,
    "files_inert": 0,
    "bytes_scanned": 0,
    "skipped": [],
    "notes": [],
}


def read_scan(scan_id: uuid.UUID) -> Row | None:
    """Return one scan as in a list; None when there is none."""
    row = SCANS.filter(pk=scan_id).first()
    return scan_shape(row) if row else None


def read_scan_detail(scan_id: uuid.UUID, **more: str) -> Row | None:
    """Return one scan with its runs and waivers; None when there is none.

    `more` names columns that nobody outside is told: `name="column"`.
    """
    applied = ScanWaiver.objects.filter(scan=OuterRef("pk"))
    columns = {name: F(column) for name, column in more.items()}
    rows = SCANS.filter(pk=scan_id).annotate(has_waivers=Exists(applied), **columns)
    row = rows.first()
    if row is None:
        return None
    runs = ScannerRun.objects.filter(scan_id=scan_id).order_by("scanner")
    told = (*_RUN_SAME, "coverage", "error")
    return {
        **scan_shape(row),
        **{name: row[name] for name in more},
        "runs": [run_shape(run) for run in runs.values(*told)],
        # Most scans have none, and cost no query for them.
        "waivers": read_applied(scan_id) if row["has_waivers"] else [],
    }


def read_applied(scan_id: uuid.UUID) -> list[Row]:
    """Return the waivers that covered findings when the scan was judged."""
    rows = ScanWaiver.objects.filter(scan_id=scan_id).order_by("fingerprint")
    shown = rows.values(*_APPLIED_COLUMNS)
    return [row | {"target": row["target"] or None} for row in shown]


def read_finding(finding_id: uuid.UUID) -> Row | None:
    row = FINDINGS.filter(pk=finding_id).first()
    return finding_shape(row) if row else None


def read_baseline(baseline_id: uuid.UUID) -> Row | None:
    """Return one baseline with what it holds of each element; None without one."""
    rows = Baseline.objects.filter(pk=baseline_id)
    row = rows.values(*BASELINE_COLUMNS, *_SNAPSHOT).first()
    if row is None:
        return None
    elements, definitions = (row.pop(name) or () for name in _SNAPSHOT)
    known = dict(definitions or {})
    told = [each | {"definition": known.pop(each["path"], None)} for each in elements]
    # What is compared and no element, such as settings of the client.
    told += [
        {"path": path, "size": 0, "digest": "", "definition": definition}
        for path, definition in known.items()
    ]
    return baseline_shape(row) | {"elements": told}


def read_drift(scan_id: uuid.UUID) -> Row:
    """Return how a finished scan differed from the baseline that was active then.

    `baseline_id` is None where there was none. Raises `NotFound`, and `Conflict` while
    the scan is not finished.
    """
    row = Scan.objects.filter(pk=scan_id).values(*_DRIFT_COLUMNS).first()
    if row is None:
        raise NotFound("There is no such scan")
    status = row["scan_status"]
    if status not in FINISHED:
        raise Conflict(f"The scan is {status}: nothing has been compared yet")
    untold = list(row["drift__not_compared"] or ())
    if status != ScanStatus.COMPLETED:
        untold.append(f"The scan was {status} before anything was compared")
    elif row["baseline_id"] and row["drift__baseline_id"] is None:
        untold.append("The scan is of an earlier release, which compared no elements")
    return {
        # The baseline may be gone; what it was compared with stays told.
        "baseline_id": row["drift__baseline_id"] or row["baseline_id"],
        "changes": row["drift__changes"] or [],
        "omitted": row["drift__omitted"] or 0,
        "not_compared": untold,
    }


def scan_shape(row: Row) -> Row:
    return scan_shape_of(_scan_values(row))


def scan_shape_of(values: Sequence[Any]) -> Row:
    """Return one scan as it is answered, from the values of SCAN_COLUMNS."""
    digest, policy, version, stage, done, total, labels, reasons = values[_SAME:]
    started, finished = values[_STARTED], values[_FINISHED]
    took = (finished - started).total_seconds() if started and finished else None
    if stage == "scan" and started:
        # The time against the limit: nobody writes it, whoever reads it looks up.
        passed = (timezone.now() - started).total_seconds()
        done = min(max(0, int(passed)), total)
    # The columns that are answered as they are read come first: the rest is cut off.
    shape = dict(zip(_SCAN_SAME, values, strict=False))
    shape["reasons"] = reasons or []
    shape["duration_ms"] = None if took is None else max(0, round(took * 1000))
    shape["progress"] = {"stage": stage, "done": done, "total": total}
    shape["policy"] = {"name": policy, "version": version}
    shape["digest"] = digest or None
    shape["labels"] = labels or {}
    return shape


def run_shape(row: Row) -> Row:
    told = row["coverage"] or {}
    return {
        **{name: row[name] for name in _RUN_SAME},
        "coverage": {name: told.get(name, none) for name, none in _COVERAGE.items()},
        "error": row["error"] or None,
    }


def finding_shape(row: Row) -> Row:
    taxonomy = row["taxonomy"] or {}
    return {
        **dict(zip(_FINDING_SAME, _finding_same(row), strict=True)),
        "severity": SEVERITY_NAMES[row["severity"]],
        "location": location_shape(row),
        "cwe": taxonomy.get("cwe", []),
        "owasp_llm": taxonomy.get("owasp_llm", []),
        "owasp_mcp": taxonomy.get("owasp_mcp", []),
        "atlas": taxonomy.get("atlas", []),
        "waived": row["waiver_id"] is not None,
        "waiver_id": row["waiver_id"],
    }


def location_shape(row: Row) -> Row:
    """Return where a finding is; None for each place that says nothing here."""
    location = row["location"] or {}
    return {place: location.get(place) for place in _PLACES}


def baseline_shape(row: Row) -> Row:
    return row | {
        "digest": row["digest"] or None,
        "is_active": row["status"] == "active",
    }


def read_waiver(waiver_id: uuid.UUID) -> Row | None:
    row = Waiver.objects.filter(pk=waiver_id).values(*WAIVER_COLUMNS).first()
    return waiver_shape(row) if row else None


def waiver_shape(row: Row) -> Row:
    return row | {
        "target": row["target"] or None,
        "is_expired": row["expires_at"] <= timezone.now(),
    }


def policy_shape(policy: Policy | Row) -> Row:
    """Return one version of a policy, from its object or from POLICY_COLUMNS."""
    if isinstance(policy, dict):
        return policy
    return {name: getattr(policy, name) for name in POLICY_COLUMNS}


def policy_default_shape(row: Row) -> Row:
    return {"policy": row["policy_name"]} | {
        name: row[name] for name in POLICY_DEFAULT_COLUMNS if name != "policy_name"
    }


def verdict_shape(row: Row, changes: list[str]) -> Row:
    """Return what a scan says about its bytes, whatever they were called.

    `changes` are sentences on what is otherwise by now. Nobody knows what would be
    found with that, so a pass is one no more; what was found, was found.
    """
    policy = {"name": row["policy_name"], "version": row["policy_version"]}
    scan = {**row, "reasons": row["detail__reasons"] or [], "policy": policy}
    if told := row["detail__of_bytes"]:
        scan |= told
        scan["passed"] = told["verdict"] == Verdict.PASS
    if changes:
        scan["reasons"] = [*changes, *scan["reasons"]]
        if scan["verdict"] == Verdict.PASS:
            scan |= {"verdict": Verdict.INCONCLUSIVE.value, "passed": False}
    return {
        "digest": f"sha256:{row['digest']}",
        **{k: scan[k] for k in _VERDICT_SAME},
        "is_current": not changes,
    }
