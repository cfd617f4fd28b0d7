"""Writes scans with their findings without end, each in one transaction.

`python -m tests.scans.writing`, in the environment of an installation.
"""

from __future__ import annotations

import os
import sys
from itertools import count

import django


def write(number: int) -> None:
    from django.db import transaction

    from scans.models import Finding, Scan

    with transaction.atomic():
        scan = Scan.objects.create(
            scan_type="model",
            target="moment",
            scan_status="completed",
            verdict="fail",
            policy_name="default",
            total_findings=10,
        )
        for index in range(10):
            Finding.objects.create(
                scan=scan,
                scanner="modelaudit",
                rule="modelaudit:S1",
                severity=3,
                category="code_execution",
                title=f"{number}",
                fingerprint=f"v1:{index}",
            )


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sentrascan_project.settings")
    django.setup()
    for number in count(1):
        write(number)
        sys.stdout.write(f"wrote {number}\n")
        sys.stdout.flush()
