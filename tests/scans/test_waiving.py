"""Waivers through the whole pipeline: what they change, and for how long."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from apikeys.audit import COMMAND_LINE as ME
from apikeys.models import AuditEvent
from scans import baselines, intake, pipeline, reuse, waiving
from scans.api.views.verdicts import changes_since, read_verdict
from scans.choices import NotFound, Refused
from scans.exports.shapes import read_scan_detail, verdict_shape
from scans.models import Finding, Policy, Scan, ScanWaiver, Target, Waiver
from tests.scans import stand_ins
from tests.scans.builders import queued_scan, run_now

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def finder(monkeypatch):
    """Every scan finds one thing of high severity, through a real process."""
    monkeypatch.setattr("scans.tasks.announce", lambda scan_id, **_: None)
    monkeypatch.setattr(pipeline, "scanners_for", lambda kind: [stand_ins.Finder()])
    for module in (pipeline, reuse):
        monkeypatch.setattr(module, "installed", stand_ins.own_tool)


def scan(target: str = "m") -> Scan:
    return run_now(queued_scan({"m": b"w"}, target=target))


def fingerprint() -> str:
    return Finding.objects.values_list("fingerprint", flat=True)[0]


def waive(target: str = "", **more) -> Waiver:
    wanted = {
        "fingerprint": fingerprint(),
        "target": target,
        "reason": "loaded in a sandbox only",
        "expires_at": timezone.now() + HOUR,
    }
    return waiving.create(**wanted | more, actor=ME)


def test_a_waived_finding_passes_until_the_waiver_is_deleted():
    assert scan().verdict == "fail"
    waiver = waive("m")
    passed = scan()
    assert (passed.verdict, passed.detail.reasons) == ("pass", [])
    assert scan("another").verdict == "fail"
    waiving.delete(waiver.pk, actor=ME)
    assert scan().verdict == "fail"
    # What was decided stays, with the proof of who accepted the risk.
    passed.refresh_from_db()
    assert passed.verdict == "pass"
    assert read_scan_detail(passed.pk)["waivers"] == [
        {
            "waiver_id": waiver.pk,
            "fingerprint": waiver.fingerprint,
            "target": "m",
            "reason": "loaded in a sandbox only",
            "created_by": "command line",
            "expires_at": waiver.expires_at,
        }
    ]


def test_a_waiver_changes_no_verdict_that_was_given():
    before = scan()
    waive()
    before.refresh_from_db()
    assert before.verdict == "fail"
    assert before.waivers.count() == 0
    again = run_now(intake.rescan(before.pk, fresh=False, actor=ME))
    assert again.verdict == "pass"


def test_an_expired_waiver_covers_nothing():
    scan()
    waiver = waive()
    assert scan().verdict == "pass"
    Waiver.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert scan().verdict == "fail"
    assert Waiver.objects.expired().get() == waiver
    assert not Waiver.objects.in_force().exists()


def test_a_waiver_of_all_targets_is_kept_as_one():
    scan()
    waive("m", reason="narrow")
    wide = waive(reason="wide")
    assert scan().waivers.get().waiver_id == wide.pk
    assert scan("another").waivers.get().target == ""


def test_a_scan_takes_its_proof_with_it():
    scan()
    waive()
    passed = scan()
    assert ScanWaiver.objects.count() == 1
    intake.delete([passed.pk], actor=ME)
    assert ScanWaiver.objects.count() == 0
    assert Waiver.objects.count() == 1


def test_a_stale_waiver_matches_nothing_in_the_newest_scans(monkeypatch):
    scan()
    scan("n")
    everywhere, ours = waive(), waive("m")
    other = waive(fingerprint=f"v1:{'0' * 64}")
    gone = waive("no-such-target")
    assert set(Waiver.objects.stale()) == {other, gone}
    assert set(Waiver.objects.matching()) == {everywhere, ours}
    monkeypatch.setattr(stand_ins.Finder, "code", "print('words:')")
    scan()
    assert set(Waiver.objects.stale()) == {other, gone, ours}
    scan("n")
    assert set(Waiver.objects.stale()) == {other, gone, ours, everywhere}
    monkeypatch.undo()


def test_without_the_newest_scan_the_one_before_it_tells_what_is_stale(monkeypatch):
    scan()
    ours, other = waive("m"), waive("n")
    monkeypatch.setattr(stand_ins.Finder, "code", "print('words:')")
    newest = scan()
    assert set(Waiver.objects.stale()) == {ours, other}
    intake.delete([newest.pk], actor=ME)
    assert set(Waiver.objects.stale()) == {other}
    assert set(Waiver.objects.matching()) == {ours}
    Scan.objects.update(target_record=None)
    Target.objects.all().delete()
    assert set(Waiver.objects.matching()) == {ours}


def test_a_scan_that_did_not_complete_makes_no_waiver_stale():
    scan()
    waive("m")
    Scan.objects.create(
        scan_type="model",
        target="m",
        policy_name="default",
        scan_status="failed",
        verdict="inconclusive",
    )
    assert not Waiver.objects.stale().exists()


def test_who_accepted_and_who_took_it_back_is_written_down():
    scan()
    waiver = waive("m")
    waiving.delete(waiver.pk, actor=ME)
    events = AuditEvent.objects.filter(object_type="waiver").order_by("created_at")
    assert [event.action for event in events] == ["waiver.create", "waiver.delete"]
    for event in events:
        assert event.object_id == str(waiver.pk)
        assert event.detail == {
            "fingerprint": waiver.fingerprint,
            "target": "m",
            "reason": "loaded in a sandbox only",
            "expires_at": waiver.expires_at.isoformat(),
            "created_by": "command line",
        }
    with pytest.raises(NotFound):
        waiving.delete(waiver.pk, actor=ME)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"fingerprint": "v1:abc"}, "fingerprint"),
        ({"fingerprint": f"v1:{'A' * 64}"}, "fingerprint"),
        ({"fingerprint": f"v1:{'0' * 64}\n"}, "fingerprint"),
        ({"reason": " "}, "reason"),
        ({"reason": "x" * 2001}, "reason"),
        ({"reason": "a\x00b"}, "reason"),
        ({"target": "a\nb"}, "target"),
        ({"target": "x" * 501}, "target"),
        ({"expires_at": timezone.now()}, "expires_at"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(more, field):
    scan()
    with pytest.raises(Refused) as refused:
        waive(**more)
    assert refused.value.field == field
    assert not Waiver.objects.exists()
    assert not AuditEvent.objects.filter(action="waiver.create").exists()


def test_deleting_twice_at_once_is_one_event_and_one_not_found():
    with pytest.raises(NotFound):
        waiving.delete(uuid.uuid4(), actor=ME)


def test_the_verdict_on_bytes_knows_no_waiver_of_one_target():
    digest = scan().digest
    waiver = waive("m")
    passed = scan()
    assert (passed.verdict, passed.is_of_bytes) == ("pass", True)
    told = read_verdict(digest, "default")
    assert told["scan_id"] == passed.pk
    found = verdict_shape(told, changes_since(told))
    assert (found["verdict"], found["passed"], found["is_current"]) == (
        *("fail", False),
        True,
    )
    assert "Found EVAL" in found["reasons"][0]
    waiving.delete(waiver.pk, actor=ME)
    waive()
    scan()
    told = read_verdict(digest, "default")
    assert verdict_shape(told, changes_since(told))["verdict"] == "pass"


def test_the_verdict_on_bytes_knows_no_baseline():
    Policy.objects.create(name="default", document={"only_new": True})
    first = scan()
    baseline = baselines.create(first.pk, name="b", actor=ME)
    baselines.approve(baseline.pk, actor=ME)
    second = scan()
    assert (first.verdict, second.verdict) == ("fail", "pass")
    told = read_verdict(second.digest, "default")
    assert told["scan_id"] == second.pk
    assert verdict_shape(told, [])["verdict"] == "fail"


def test_a_verdict_that_nothing_of_its_target_changed_is_kept_once():
    assert scan().detail.of_bytes is None
    waive()
    assert scan().detail.of_bytes is None
