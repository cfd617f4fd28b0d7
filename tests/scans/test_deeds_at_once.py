"""Two connections that do the same at once: it is done, and written down, once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apikeys import keyring
from apikeys.audit import COMMAND_LINE as ME
from apikeys.models import ApiKey, AuditEvent
from scans import baselines, intake, policy_choice, waiving
from scans.choices import Conflict, NotFound
from scans.models import Baseline, Scan
from tests.scans.api_samples import make_scan
from tests.scans.waiters import wait_for_a_waiter

Deed = Callable[[], object]


@pytest.fixture(autouse=True)
def _on_a_database_with_row_locks(transactional_db: None) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite writes one transaction at a time")


def at_once(first: Deed, second: Deed) -> object:
    """Do `first`, commit it once `second` waits for it; return what that one met."""
    met: list[object] = []

    def beside() -> None:
        try:
            met.append(second())
        except (Conflict, NotFound) as error:
            met.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=beside)
    with transaction.atomic():
        first()
        thread.start()
        wait_for_a_waiter()
    thread.join(60)
    assert not thread.is_alive()
    (answer,) = met
    return answer


def times(action: str) -> int:
    return AuditEvent.objects.filter(action=action).count()


def proposed(scan: Scan) -> Baseline:
    return baselines.create(scan.pk, name="release", actor=ME)


def test_a_baseline_that_is_retired_while_its_successor_is_approved() -> None:
    scan = make_scan()
    old, new = proposed(scan), proposed(scan)
    baselines.approve(old.pk, actor=ME)
    at_once(
        lambda: baselines.retire(old.pk, actor=ME),
        lambda: baselines.approve(new.pk, actor=ME),
    )
    assert Baseline.objects.active().get() == new
    assert (times("baseline.retire"), times("baseline.approve")) == (1, 2)


def test_one_baseline_approved_twice() -> None:
    scan = make_scan()
    old, new = proposed(scan), proposed(scan)
    baselines.approve(old.pk, actor=ME)

    def approve() -> Baseline:
        return baselines.approve(new.pk, actor=ME)

    answer = at_once(approve, approve)
    assert isinstance(answer, Conflict)
    assert str(answer) == "The baseline is already active"
    assert Baseline.objects.active().get() == new
    assert (times("baseline.retire"), times("baseline.approve")) == (1, 2)


def test_two_baselines_approved_one_after_the_other() -> None:
    scan = make_scan()
    old, first, second = (proposed(scan) for _ in range(3))
    baselines.approve(old.pk, actor=ME)
    at_once(
        lambda: baselines.approve(first.pk, actor=ME),
        lambda: baselines.approve(second.pk, actor=ME),
    )
    assert Baseline.objects.active().get() == second
    assert (times("baseline.retire"), times("baseline.approve")) == (2, 3)


def delete_baseline() -> Deed:
    baseline = proposed(make_scan())
    return lambda: baselines.delete(baseline.pk, actor=ME)


def delete_waiver() -> Deed:
    later = timezone.now() + timedelta(days=1)
    waiver = waiving.create(
        fingerprint=f"v1:{'0' * 64}", reason="r", expires_at=later, actor=ME
    )
    return lambda: waiving.delete(waiver.pk, actor=ME)


def delete_default() -> Deed:
    row = policy_choice.create(scan_type="model", policy="default", actor=ME)
    return lambda: policy_choice.delete(row.pk, actor=ME)


@pytest.mark.parametrize(
    ("deed_of", "action"),
    [
        (delete_baseline, "baseline.delete"),
        (delete_waiver, "waiver.delete"),
        (delete_default, "policy_default.delete"),
    ],
)
def test_what_is_deleted_twice_is_gone_for_the_second(
    deed_of: Callable[[], Deed], action: str
) -> None:
    delete = deed_of()
    assert isinstance(at_once(delete, delete), NotFound)
    assert times(action) == 1


def test_scans_that_are_deleted_twice_are_counted_once() -> None:
    scans = [make_scan().pk for _ in range(3)]
    answer = at_once(
        lambda: intake.delete(scans[:2], actor=ME),
        lambda: intake.delete(list(reversed(scans)), actor=ME),
    )
    assert answer == 1
    assert times("scan.delete") == 3
    assert not Scan.objects.exists()


def test_a_key_that_is_revoked_twice_is_revoked_once() -> None:
    keyring.create(name="ci", role="scanner", actor=ME)

    def revoke() -> int:
        return keyring.revoke("ci", actor=ME)

    assert at_once(revoke, revoke) == 0
    assert times("api_key.revoke") == 1


def test_a_key_that_is_rotated_while_its_name_is_revoked_dies_with_its_successor() -> (
    None
):
    key, _ = keyring.create(name="ci", role="scanner", actor=ME)
    answer = at_once(
        lambda: keyring.rotate(key, actor=ME), lambda: keyring.revoke("ci", actor=ME)
    )
    assert answer == times("api_key.revoke") == 2
    assert not ApiKey.objects.unrevoked().exists()
