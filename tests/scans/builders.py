"""Rows as intake would write them, for tests of what comes after it."""

from __future__ import annotations

import threading
from typing import Any

from django.db import connection

from apikeys.audit import COMMAND_LINE
from scanners.contract import TargetKind
from scans import intake, pipeline, storage, submissions
from scans.models import Scan


def queued_scan(
    files: dict[str, bytes] | None = None,
    *,
    document: dict[str, Any] | None = None,
    **fields: Any,
) -> Scan:
    """Submit through intake; nobody hears the bell, since no worker runs."""
    scanners = fields.pop("scanners", None)
    received = tuple(storage.receive(n, body) for n, body in (files or {}).items())
    submission = submissions.Submission(
        scan_type=TargetKind.MCP if document is not None else TargetKind.MODEL,
        files=received,
        document=document,
        **fields,
    )
    scan = intake.submit(submission, actor=COMMAND_LINE)
    if scanners is not None:
        scan.detail.options["scanners"] = scanners
        scan.detail.save()
    return scan


def run_now(scan: Scan) -> Scan:
    """Run the scan here, as a worker would, and return its row as it is then."""
    pipeline.run(scan.pk, owner="test")
    return Scan.objects.select_related("detail", "policy").get(pk=scan.pk)


def run_in_thread(scan: Scan) -> threading.Thread:
    """Run the scan beside the test; the thread is to be joined."""

    def work() -> None:
        try:
            pipeline.run(scan.pk, owner="me")
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread
