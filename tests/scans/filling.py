"""Fills an installation with rows of every kind: `python -m tests.scans.filling N`.

`N` scans with ten findings each. Run as a process, in the environment of that
installation.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from typing import Any

import django

# What a separator, an escape or an encoding could lose.
AWKWARD = (
    "tab\there, line\nbreak, back\\slash, \\N, \\., quote \" ' and \u2028 \U0001f512"
)
DEEP = {"big": 2**70, "small": 1.10, "none": None, "text": AWKWARD, "list": [[], {}]}


def fill(count: int) -> None:
    keys()
    people()
    submitted = uploads()
    judged(count)
    rest(submitted)


def keys() -> None:
    from apikeys import keyring
    from apikeys.audit import COMMAND_LINE
    from apikeys.models import ApiKey

    for name in ("live", "revoked", "rotated"):
        keyring.create(name=name, role="admin", actor=COMMAND_LINE)
    keyring.revoke("revoked", actor=COMMAND_LINE)
    keyring.rotate(ApiKey.objects.get(name="rotated"), actor=COMMAND_LINE)
    ApiKey.objects.filter(name="live").update(last_used_ip="2001:db8::1")


def people() -> None:
    from apikeys.choices import Role
    from scans.management.users import create_user

    for name in ("ada", "grace", "gone"):
        create_user(name, Role.ADMIN, "correct horse battery staple")
    # The last number that was given out is in no row.
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.db import SessionStore

    User.objects.filter(username="gone").delete()
    SessionStore().create()


def uploads() -> object:
    from tests.scans.builders import queued_scan

    first = queued_scan({"a.bin": b"a" * 70_000, "b.bin": b"b"}, target="model 0")
    queued_scan({"same.bin": b"a" * 70_000})
    queued_scan(document={"tools": [{"name": "t", "description": AWKWARD}]})
    return first


def judged(count: int) -> None:
    from django.utils import timezone

    from scans.models import Scan, ScanDetail, ScannerRun

    now = timezone.now()
    scans = [
        Scan(
            created_at=now - timedelta(minutes=number),
            finished_at=now,
            scan_type="model",
            target=f"model {number}",
            scan_status="completed",
            verdict=("pass", "fail", "inconclusive")[number % 3],
            policy_name="default",
            digest=f"{number:064x}",
            total_findings=10,
        )
        for number in range(count)
    ]
    Scan.objects.bulk_create(scans, batch_size=500)
    ScanDetail.objects.bulk_create(
        [ScanDetail(scan=scan, reasons=[AWKWARD], options=DEEP) for scan in scans],
        batch_size=500,
    )
    ScannerRun.objects.bulk_create(
        [
            ScannerRun(scan=scan, scanner="modelaudit", status="completed")
            for scan in scans
        ],
        batch_size=500,
    )
    findings(scans)


def findings(scans: list[Any]) -> None:
    from scans.models import Finding

    Finding.objects.insert_many(
        [
            Finding(
                scan=scan,
                scanner="modelaudit",
                rule=f"modelaudit:S{number}",
                severity=number % 5,
                category="code_execution",
                title=AWKWARD,
                evidence=DEEP,
                fingerprint=f"v1:{number}",
            )
            for scan in scans
            for number in range(10)
        ]
    )


def memory(done: Any) -> None:
    from scans.models import Target, TargetFinding

    target = Target.objects.create(scan_type="model", name="m", last_scan_id=done.pk)
    TargetFinding.objects.create(
        target=target,
        fingerprint="v1:1",
        scanner="modelaudit",
        rule="modelaudit:S1",
        severity=3,
        category="code_execution",
        title=AWKWARD,
        location=DEEP,
        first_seen_at=target.created_at,
        first_scan_id=done.pk,
    )


def rest(first: object) -> None:
    from django.utils import timezone

    from apikeys.models import IdempotencyRecord
    from scans import sealing
    from scans.models import Baseline, Policy, Scan, ScannerRun, StoredResult, Worker

    sealing.installation_key()
    done = Scan.objects.filter(scan_status="completed").first()
    # A circle: the scan was compared with the baseline that was made from it.
    baseline = Baseline.objects.create(
        scan=done, scan_type="model", target="m", name="n", snapshot=DEEP
    )
    Scan.objects.filter(pk=done.pk).update(baseline=baseline)
    Policy.objects.create(name="strict", document={"severity_threshold": "low"})
    run = ScannerRun.objects.filter(scan=done).first()
    StoredResult.objects.create(
        key="0" * 64, run=run, scanner="modelaudit", report=json.dumps(DEEP)
    )
    StoredResult.objects.create(
        key="f" * 64,
        run=ScannerRun.objects.exclude(pk=run.pk).first(),
        scanner="modelaudit",
        report=AWKWARD,
    )
    IdempotencyRecord.objects.create(
        owner="o",
        idempotency_key="k",
        fingerprint="f",
        body=bytes(range(256)),
    )
    memory(done)
    Worker.objects.create(name="host:1")
    Scan.objects.filter(pk=first.pk).update(  # type: ignore[attr-defined]  # a stored object
        scan_status="running",
        attempt=1,
        lease_owner="host:1/x",
        lease_expires_at=timezone.now() + timedelta(hours=1),
    )


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sentrascan_project.settings")
    django.setup()
    fill(int(sys.argv[1]))
