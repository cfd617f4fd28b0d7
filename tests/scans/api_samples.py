"""Rows and bodies that the API's tests begin with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from scanners.contract import Category, Severity
from scans import rulesets
from scans.choices import ScanStatus, Verdict
from scans.ids import uuid7
from scans.models import (
    Finding,
    Scan,
    ScanDetail,
    ScannerRun,
    ScanSnapshot,
    TargetFinding,
)

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = "ab" * 32
TOOLS = [{"name": "add", "description": "Adds two numbers."}]
CONFIG = {"mcpServers": {"files": {"command": "files-server", "args": ["--read"]}}}


def make_scan(*, minutes: int = 0, **fields: Any) -> Scan:
    """Insert a scan created `minutes` after BEGIN; completed and passed by default."""
    detail = {
        name: fields.pop(name) for name in ("labels", "reasons") if name in fields
    }
    values = {
        "created_at": BEGIN + timedelta(minutes=minutes),
        "scan_type": "model",
        "target": "model.pkl",
        "scan_status": ScanStatus.COMPLETED,
        "policy_name": "default",
    } | fields
    if values["scan_status"] in {ScanStatus.COMPLETED, ScanStatus.FAILED}:
        is_failed = values["scan_status"] == ScanStatus.FAILED
        values.setdefault(
            "verdict", Verdict.INCONCLUSIVE if is_failed else Verdict.PASS
        )
        values.setdefault("started_at", values["created_at"])
        values.setdefault("finished_at", values["created_at"] + timedelta(seconds=2))
    if values["scan_status"] == ScanStatus.COMPLETED:
        values.setdefault("is_of_bytes", True)
        values.setdefault("rules", rulesets.known_here())
    if values["scan_status"] == ScanStatus.RUNNING:
        values.setdefault("lease_expires_at", datetime(2100, 1, 1, tzinfo=UTC))
    scan = Scan.objects.create(**values)
    ScanDetail.objects.create(scan=scan, **detail)
    ScanSnapshot.objects.create(scan=scan, elements=[{"path": "model.pkl", "size": 3}])
    return scan


def make_run(scan: Scan, scanner: str = "modelaudit", **fields: Any) -> ScannerRun:
    return ScannerRun.objects.create(
        **{"scan": scan, "scanner": scanner, "status": "completed"} | fields
    )


def make_finding(scan: Scan, number: int = 0, **fields: Any) -> Finding:
    values = {
        "scan": scan,
        "scanner": "modelaudit",
        "rule": "modelaudit:S201",
        "severity": Severity.CRITICAL,
        "category": Category.CODE_EXECUTION,
        "title": "Dangerous import os.system",
        "location": {"path": "model.pkl", "byte_offset": 7},
        "taxonomy": {"cwe": ["CWE-502"]},
        "fingerprint": f"v1:{number:064x}",
        "created_at": BEGIN + timedelta(minutes=number),
    }
    return Finding.objects.create(**values | fields)


def remember(target: Any, number: int = 0, **fields: Any) -> TargetFinding:
    """Insert what is remembered of one finding, open by default."""
    at = BEGIN + timedelta(minutes=number)
    values = {
        "target": target,
        "fingerprint": f"v1:{number:064x}",
        "scanner": "modelaudit",
        "rule": "modelaudit:S201",
        "severity": Severity.CRITICAL,
        "category": Category.CODE_EXECUTION,
        "title": "Dangerous import os.system",
        "location": {"path": "model.pkl", "byte_offset": 7},
        "first_seen_at": at,
        "first_scan_id": uuid7(),
    } | fields
    if values.get("resolved_at"):
        values = {"last_seen_at": at, "last_scan_id": uuid7()} | values
    return TargetFinding.objects.create(**values)


def pointers(answer: Any) -> set[str]:
    """Return what a problem names: pointers of the body, parameters of the query."""
    assert answer["Content-Type"] == "application/problem+json", answer.content
    errors = answer.json()["errors"]
    places = ("pointer", "parameter", "header")
    return {next(e[place] for place in places if place in e) for e in errors}
