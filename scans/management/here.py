"""This installation as a door: through intake, without a server."""

from __future__ import annotations

import os
import socket
import threading
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import connections

from apikeys.audit import COMMAND_LINE
from scanners.contract import Severity
from scans import intake, pipeline, storage
from scans.choices import Conflict, NotFound, Refused, ScanStatus
from scans.intake import Submission
from scans.management.doors import Document, Rejected
from scans.management.orders import Order, Part
from scans.management.remote import COMMAND_LINE_FIELDS
from scans.models import Finding, Scan, ScannerRun, Worker
from scans.storage import Received

CHUNK = 1 << 20
PLACES = ("path", "member", "line", "byte_offset", "server", "tool")
SEVERITIES = [severity.name.lower() for severity in reversed(Severity)]


class Here:
    """Scans of this installation; run in this process while no worker is live."""

    def __init__(self) -> None:
        self._asked_for: list[str] = []
        self._running: threading.Thread | None = None

    def submit(self, order: Order) -> Document:
        options = order.options
        received: list[Received] = []
        try:
            for part in order.parts:
                received.append(_receive(part))
            scan = intake.submit(
                Submission(
                    scan_type=order.kind,
                    target=order.target,
                    files=tuple(received),
                    policy=options.policy or "default",
                    timeout_seconds=options.timeout_seconds,
                    labels=options.labels,
                ),
                actor=COMMAND_LINE,
            )
        except Refused as error:
            field = error.field
            raise Rejected(
                f"{field}: {error.message}", is_usage=field in COMMAND_LINE_FIELDS
            ) from error
        except storage.InsufficientSpace as error:
            raise Rejected(str(error)) from error
        except storage.TooLarge as error:
            raise Rejected(f"{order.target} is {error}") from error
        finally:
            for file in received:
                file.discard()
        self._asked_for.append(str(scan.pk))
        return scan_document(scan)

    def scan(self, scan_id: str) -> Document:
        rows = Scan.objects.select_related("detail").filter(pk=scan_id)
        scan = rows.first()
        if scan is None:
            raise Rejected("The scan has been deleted meanwhile")
        return scan_document(scan)

    def findings(self, scan_id: str) -> list[Document]:
        rows = Finding.objects.filter(scan=uuid.UUID(scan_id))
        return [finding_document(row) for row in rows]

    def cancel(self, scan_id: str) -> None:
        with suppress(Conflict, NotFound):
            intake.cancel(uuid.UUID(scan_id), actor=COMMAND_LINE)
        if self._running is not None:
            # It sees the cancelled row within a second and kills its tools.
            self._running.join(timeout=5)

    def work(self) -> None:
        """Run a queued scan in this process when no worker is there to do it."""
        if self._running is not None and self._running.is_alive():
            return
        if Worker.objects.live().exists():
            return
        queued = Scan.objects.filter(
            pk__in=self._asked_for, scan_status=ScanStatus.QUEUED
        )
        scan_id = queued.order_by("created_at").values_list("pk", flat=True).first()
        if scan_id is not None:
            self._running = threading.Thread(target=_run, args=[scan_id])
            self._running.start()


def _run(scan_id: uuid.UUID) -> None:
    owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    try:
        pipeline.run(scan_id, owner=owner)
    finally:
        connections.close_all()


def _receive(part: Part) -> Received:
    receiver = storage.Receiver(part.name, limit=settings.MAX_UPLOAD_BYTES)
    try:
        with part.path.open("rb") as file:
            while chunk := file.read(CHUNK):
                receiver.write(chunk)
    except OSError as error:
        receiver.discard()
        raise Rejected(f"{part.path}: cannot be read: {error.strerror}") from error
    return receiver.finish()


def scan_document(scan: Scan) -> Document:
    """Return the scan in the shape of `GET /scans/{id}`."""
    return {
        "scan_id": str(scan.pk),
        "created_at": _time(scan.created_at),
        "started_at": _time(scan.started_at),
        "finished_at": _time(scan.finished_at),
        "scan_type": scan.scan_type,
        "target": scan.target,
        "scan_status": scan.scan_status,
        "verdict": scan.verdict,
        "passed": scan.passed,
        "reasons": scan.detail.reasons,
        "total_findings": scan.total_findings,
        **{f"{name}_count": getattr(scan, f"{name}_count") for name in SEVERITIES},
        "new_findings": scan.new_findings,
        "duration_ms": _duration_ms(scan),
        "progress": {
            "stage": scan.progress_stage,
            "done": scan.progress_done,
            "total": scan.progress_total,
        },
        "policy": {"name": scan.policy_name, "version": scan.policy_version},
        "baseline_id": str(scan.baseline_id) if scan.baseline_id else None,
        "digest": scan.digest or None,
        "labels": scan.detail.labels,
        "requested_by": scan.requested_by,
        "attempt": scan.attempt,
        "runs": [run_document(run) for run in scan.runs.all()],
    }


def run_document(run: ScannerRun) -> Document:
    return {
        "scanner": run.scanner,
        "tool_version": run.tool_version,
        "status": run.status,
        "sandbox": run.sandbox,
        "reused_from": str(run.reused_from) if run.reused_from else None,
        "duration_ms": run.duration_ms,
        "findings_count": run.findings_count,
        "coverage": run.coverage,
        "error": run.error or None,
    }


def finding_document(finding: Finding) -> Document:
    """Return the finding in the shape of `GET /findings/{id}`."""
    taxonomy: dict[str, Any] = finding.taxonomy
    return {
        "finding_id": str(finding.pk),
        "scan_id": str(finding.scan_id),
        "scanner": finding.scanner,
        "rule": finding.rule,
        "severity": Severity(finding.severity).name.lower(),
        "category": finding.category,
        "title": finding.title,
        "description": finding.description,
        "location": {place: finding.location.get(place) for place in PLACES},
        "evidence": finding.evidence,
        "remediation": finding.remediation,
        **{
            name: taxonomy.get(name, [])
            for name in ("cwe", "owasp_llm", "owasp_mcp", "atlas")
        },
        "fingerprint": finding.fingerprint,
        "is_new": finding.is_new,
        "waived": False,
        "waiver_id": None,
        "created_at": _time(finding.created_at),
    }


def _time(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _duration_ms(scan: Scan) -> int | None:
    if scan.started_at is None or scan.finished_at is None:
        return None
    took = (scan.finished_at - scan.started_at).total_seconds()
    return max(0, round(took * 1000))
