"""The rows that benchmarks write by SQL alone fit the tables as they are today."""

from __future__ import annotations

import pytest
from django.db import connection

from benchmarks import histories, rows
from scans.models import Finding, Scan, ScannerRun, TargetFinding


@pytest.mark.django_db
def test_a_database_can_be_filled_for_the_benchmarks() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("they fill PostgreSQL")
    sizes = {"scans": 4, "each": 3, "targets": 2}
    with connection.cursor() as cursor:
        cursor.execute(rows.functions())
        statements = (rows.SCANS, rows.DETAILS, rows.RUNS, rows.FINDINGS)
        for statement in (*statements, *histories.FILL):
            cursor.execute(statement, sizes)
    assert Scan.objects.exclude(target_record=None).count() == 4
    assert (ScannerRun.objects.count(), Finding.objects.count()) == (4, 12)
    assert TargetFinding.objects.open().count() == 4
    assert TargetFinding.objects.resolved().count() == 2
