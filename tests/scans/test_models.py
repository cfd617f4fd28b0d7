"""What must hold whatever happens, asked of the database itself."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction

from scans.choices import ScanStatus
from scans.models import Baseline, Finding, Policy, Scan, ScanDetail, ScannerRun
from scans.models import Target as TargetRow

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]


@pytest.fixture
def scan() -> Scan:
    record = TargetRow.objects.create(scan_type="model", name="m")
    policy = Policy.objects.newest("default")
    scan = Scan.objects.create(
        scan_type="model",
        target="m",
        target_record=record,
        policy=policy,
        policy_name="default",
    )
    ScanDetail.objects.create(scan=scan)
    return scan


def raw(sql: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.rowcount


def breaks(**fields) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Scan.objects.update(**fields)


def test_a_verdict_exists_exactly_for_judged_scans(scan):
    breaks(verdict="pass")
    breaks(scan_status=ScanStatus.COMPLETED)
    breaks(scan_status=ScanStatus.FAILED, verdict="pass")
    breaks(scan_status=ScanStatus.CANCELLED, verdict="fail")
    Scan.objects.update(scan_status=ScanStatus.FAILED, verdict="inconclusive")
    Scan.objects.update(scan_status=ScanStatus.COMPLETED, verdict="fail")


def test_words_are_of_their_lists_and_counts_are_not_negative(scan):
    breaks(scan_status="asleep")
    breaks(scan_type="firmware")
    breaks(scan_status=ScanStatus.COMPLETED, verdict="maybe")
    for name in ("total_findings", "critical_count", "new_findings", "attempt"):
        breaks(**{name: -1})
    breaks(scan_status=ScanStatus.RUNNING)


@pytest.mark.parametrize(
    ("status", "verdict", "passed"),
    [
        ("completed", "pass", True),
        ("completed", "fail", False),
        ("completed", "inconclusive", False),
        ("failed", "inconclusive", False),
        ("cancelled", None, None),
        ("queued", None, None),
    ],
)
def test_passed_follows_the_verdict_by_itself(scan, status, verdict, passed):
    Scan.objects.update(scan_status=status, verdict=verdict)
    scan.refresh_from_db()
    assert scan.passed is passed


def test_deleting_scans_by_sql_takes_findings_and_runs_and_nothing_else(scan):
    ScannerRun.objects.create(scan=scan, scanner="s", status="completed")
    Finding.objects.create(
        scan=scan,
        scanner="s",
        rule="s:R",
        severity=3,
        category="other",
        title="t",
        fingerprint="v1:x",
    )
    baseline = Baseline.objects.create(
        scan_type="model",
        target="m",
        scan=scan,
        name="b",
        status="active",
        target_record=scan.target_record,
    )
    Scan.objects.update(baseline=baseline)
    assert raw("DELETE FROM scans") == 1
    assert not Finding.objects.exists()
    assert not ScannerRun.objects.exists()
    assert not ScanDetail.objects.exists()
    baseline.refresh_from_db()
    assert (baseline.scan_id, baseline.status) == (None, "active")
    assert TargetRow.objects.count() == 1
    assert raw("DELETE FROM targets") == 1
    assert raw("DELETE FROM policies") >= 1
    assert Baseline.objects.count() == 1


def test_one_baseline_of_a_target_is_active():
    values = {"scan_type": "model", "target": "m", "name": "b"}
    Baseline.objects.create(**values, status="active")
    Baseline.objects.create(**values, status="retired")
    Baseline.objects.create(**values)
    with pytest.raises(IntegrityError), transaction.atomic():
        Baseline.objects.create(**values, status="active")


def test_a_row_of_scans_is_readable(scan):
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM scans")
        names = [column[0] for column in cursor.description]
    assert {"scan_id", "created_at", "scan_type", "target", "passed"} <= set(names)
    for heavy in ("options", "reasons", "labels", "document", "config"):
        assert heavy not in names


def test_the_default_policy_is_there_from_the_start():
    policy = Policy.objects.newest("default")
    assert policy is not None
    assert policy.version == 1
    policy.clean()
