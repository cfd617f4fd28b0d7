from __future__ import annotations

import threading
import uuid

import pytest
from django.db import connection

from apikeys.audit import COMMAND_LINE as ME
from apikeys.models import AuditEvent
from scans import baselines
from scans.choices import Conflict, NotFound
from scans.models import Baseline, Finding, Scan, ScanSnapshot, Target

pytestmark = pytest.mark.django_db


@pytest.fixture
def scan() -> Scan:
    record = Target.objects.create(scan_type="model", name="m")
    scan = Scan.objects.create(
        scan_type="model",
        target="m",
        target_record=record,
        policy_name="default",
        scan_status="completed",
        verdict="fail",
        digest="d" * 64,
    )
    ScanSnapshot.objects.create(scan=scan, elements=[{"path": "m", "size": 1}])
    Finding.objects.create(
        scan=scan,
        scanner="s",
        rule="s:R",
        severity=3,
        category="other",
        title="t",
        fingerprint="v1:x",
    )
    return scan


def made(scan: Scan) -> Baseline:
    return baselines.create(scan.pk, name="release 1", actor=ME)


def test_it_copies_what_the_scan_saw_and_waits_for_approval(scan):
    baseline = made(scan)
    assert baseline.status == "proposed"
    assert baseline.snapshot == {
        "elements": [{"path": "m", "size": 1}],
        "document": None,
        "fingerprints": ["v1:x"],
    }
    assert Baseline.objects.active().count() == 0


def test_approving_retires_the_one_before(scan):
    first, second = made(scan), made(scan)
    baselines.approve(first.pk, actor=ME)
    baselines.approve(second.pk, actor=ME)
    first.refresh_from_db()
    assert (first.status, first.retired_by) == ("retired", ME.name)
    assert Baseline.objects.active().get() == second
    assert AuditEvent.objects.filter(action="baseline.retire").count() == 1
    with pytest.raises(Conflict):
        baselines.approve(first.pk, actor=ME)


def test_retiring_takes_it_out_of_force_once(scan):
    baseline = made(scan)
    with pytest.raises(Conflict):
        baselines.retire(baseline.pk, actor=ME)
    baselines.approve(baseline.pk, actor=ME)
    assert baselines.retire(baseline.pk, actor=ME).status == "retired"
    with pytest.raises(Conflict):
        baselines.retire(baseline.pk, actor=ME)


@pytest.mark.parametrize("status", ["queued", "failed", "cancelled"])
def test_only_a_completed_scan_makes_one(scan, status):
    verdict = "inconclusive" if status == "failed" else None
    Scan.objects.update(scan_status=status, verdict=verdict)
    with pytest.raises(Conflict):
        made(scan)


def test_what_does_not_exist_is_not_found():
    for act in (baselines.approve, baselines.retire, baselines.delete):
        with pytest.raises(NotFound):
            act(uuid.uuid4(), actor=ME)
    with pytest.raises(NotFound):
        baselines.create(uuid.uuid4(), name="x", actor=ME)


@pytest.mark.django_db(transaction=True)
def test_approvals_at_the_same_moment_leave_one_active(scan):
    candidates = [made(scan) for _ in range(4)]
    failures = []

    def approve(baseline: Baseline) -> None:
        try:
            baselines.approve(baseline.pk, actor=ME)
        except Exception as error:  # noqa: BLE001  (the test reports it)
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=approve, args=(b,)) for b in candidates]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert Baseline.objects.active().count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_scan_that_is_deleted_meanwhile_is_no_error(
    scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete() -> None:
        Scan.objects.filter(pk=scan.pk).delete()
        connection.close()

    thread = threading.Thread(target=delete)
    real = Finding.objects.filter

    def meanwhile(**wanted: object) -> object:
        thread.start()
        thread.join(0.5)
        return real(**wanted)

    monkeypatch.setattr(Finding.objects, "filter", meanwhile)
    baseline = made(scan)
    thread.join()
    assert Baseline.objects.get(pk=baseline.pk).scan_id is None
    assert not Scan.objects.exists()
