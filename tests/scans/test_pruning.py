"""What goes by which rule, and what stays whatever the rules say."""

from __future__ import annotations

import os
import time
from datetime import timedelta

import pytest
from django.conf import settings as real_settings
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from apikeys.audit import COMMAND_LINE
from apikeys.models import AuditEvent
from scans import baselines, intake, pruning, storage, tasks
from scans.choices import Gone
from scans.models import (
    Baseline,
    Finding,
    Scan,
    ScanFile,
    Tally,
    Target,
    TargetFinding,
    Upload,
)
from scans.pruning import Rules, prune, rehearse
from sentrascan_project.environment import age
from sentrascan_project.timetable import PRUNE_SECONDS, schedule
from tests.scans.api_samples import make_finding, make_scan, remember
from tests.scans.builders import queued_scan

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]
OLD = Rules(scans=timedelta(days=90))


@pytest.fixture(autouse=True)
def places(settings, tmp_path, monkeypatch):
    settings.UPLOAD_DIR, settings.RUN_DIR = tmp_path / "uploads", tmp_path / "runs"
    settings.RUN_DIR.mkdir()
    monkeypatch.setattr("scans.tasks.announce", lambda scan_id, **_: None)


def days_ago(days: float):
    return timezone.now() - timedelta(days=days)


def judged(target: Target, days: float, **fields) -> Scan:
    return make_scan(target_record=target, created_at=days_ago(days), **fields)


@pytest.fixture
def target() -> Target:
    return Target.objects.create(scan_type="model", name="model.pkl")


def run(rules: Rules, **more):
    return prune(rules, actor=COMMAND_LINE, **more)


def left() -> set:
    return set(Scan.objects.values_list("pk", flat=True))


def test_what_is_over_for_long_is_forgotten(target):
    gone = Target.objects.create(
        scan_type="mcp", name="gone", last_scan_at=days_ago(100)
    )
    remember(target, 1)
    remember(target, 2, resolved_at=days_ago(10))
    remember(target, 3, resolved_at=days_ago(100))
    remember(gone, 4)
    remember(gone, 5, resolved_at=days_ago(100))

    def known() -> set[str]:
        prints = TargetFinding.objects.values_list("fingerprint", flat=True)
        return {each[-1] for each in prints}

    assert rehearse(Rules(uploads=timedelta(1))).target_findings == 0
    kept = Rules(scans=timedelta(days=90), keep_last=1)
    assert rehearse(kept).target_findings == 2
    assert rehearse(OLD).target_findings == 3
    assert run(kept).target_findings == 2
    assert known() == {"1", "2", "4"}
    assert run(OLD).target_findings == 1
    assert known() == {"1", "2"}
    event = AuditEvent.objects.filter(action="scan.prune").latest("created_at")
    assert event.detail["target_findings"] == 1


def test_old_finished_scans_go_with_their_findings_and_no_others(target):
    old, young = judged(target, 100), judged(target, 10)
    make_finding(old, 1)
    waiting = judged(target, 100, scan_status="queued")
    running = judged(target, 100, scan_status="running")
    assert rehearse(OLD).scans == 1
    assert len(left()) == 4
    pruned = run(OLD)
    assert (pruned.scans, pruned.is_complete) == (1, True)
    assert left() == {young.pk, waiting.pk, running.pk}
    assert not Finding.objects.exists()


def test_more_than_one_batch_goes(target, monkeypatch):
    monkeypatch.setattr(pruning, "BATCH", 3)
    for _ in range(7):
        judged(target, 100)
    seen: list[int] = []
    assert run(OLD, tell=lambda pruned: seen.append(pruned.scans)).scans == 7
    assert seen == [3, 6, 7]


def test_a_turn_ends_in_time_and_the_next_goes_on(target, monkeypatch):
    monkeypatch.setattr(pruning, "BATCH", 2)
    for _ in range(5):
        judged(target, 100)
    pruned = run(OLD, seconds=0)
    assert (pruned.scans, pruned.is_complete) == (2, False)
    assert [run(OLD, seconds=0).scans for _ in range(3)] == [2, 1, 0]


def test_the_last_of_each_target_stay_at_any_age(target):
    other = Target.objects.create(scan_type="model", name="other.pkl")
    first, second, third = (judged(target, days) for days in (300, 200, 100))
    alone = judged(other, 400)
    cancelled = judged(target, 95, scan_status="cancelled")
    rules = Rules(scans=timedelta(days=90), keep_last=2)
    assert rehearse(rules).scans == 2
    assert run(rules).scans == 2
    # A cancelled one is neither kept nor does it take the place of one that is.
    assert left() == {second.pk, third.pk, alone.pk}
    assert first.pk not in left()
    assert cancelled.pk not in left()


def test_of_scans_of_one_moment_as_many_stay_as_were_asked_for(target):
    moment = days_ago(100)
    for _ in range(5):
        make_scan(target_record=target, created_at=moment)
    assert run(Rules(scans=timedelta(days=90), keep_last=2)).scans == 3
    assert Scan.objects.count() == 2


def test_keep_last_alone_gives_up_everything_beyond(target):
    judged(target, 0.1)
    young = judged(target, 0)
    assert run(Rules(keep_last=1)).scans == 1
    assert left() == {young.pk}


def test_a_baseline_outlives_its_scan_and_stays_in_force(target):
    scan = judged(target, 100)
    baseline = baselines.create(scan.pk, name="b", description="", actor=COMMAND_LINE)
    baselines.approve(baseline.pk, actor=COMMAND_LINE)
    snapshot = Baseline.objects.get().snapshot
    assert run(OLD).scans == 1
    kept = Baseline.objects.get()
    assert (kept.status, kept.snapshot) == ("active", snapshot)
    assert snapshot["elements"]
    assert kept.scan_id is None


def test_bytes_go_before_their_scan_where_that_is_asked_for():
    scan = queued_scan({"m": b"weights"})
    running = queued_scan({"n": b"others"})
    intake.cancel(scan.pk, actor=COMMAND_LINE)
    Scan.objects.update(created_at=days_ago(40))
    past = time.time() - 3600
    for upload in Upload.objects.all():
        os.utime(storage.path_of(upload.sha256), (past, past))
    Upload.objects.update(last_used_at=days_ago(1))
    rules = Rules(uploads=timedelta(days=30))
    would = rehearse(rules)
    assert (would.files_of_scans, would.uploads, would.bytes) == (1, 1, 7)
    pruned = run(rules)
    assert (pruned.files_of_scans, pruned.uploads, pruned.bytes) == (1, 1, 7)
    assert left() == {scan.pk, running.pk}
    assert ScanFile.objects.get().scan_id == running.pk
    with pytest.raises(Gone):
        intake.rescan(scan.pk, fresh=False, actor=COMMAND_LINE)


def test_old_audit_events_go_and_that_is_the_newest_event():
    for days in (400, 399, 1):
        event = AuditEvent.objects.create(
            actor="a", actor_kind="key", action="x", object_type="t", object_id="1"
        )
        AuditEvent.objects.filter(pk=event.pk).update(created_at=days_ago(days))
    rules = Rules(audit=timedelta(days=365))
    assert rehearse(rules).audit_events == 2
    assert run(rules).audit_events == 2
    newest, kept = AuditEvent.objects.all()
    assert (newest.action, newest.detail["audit_events"]) == ("scan.prune", 2)
    assert newest.detail["audit_older_than_seconds"] == 365 * 86_400
    assert kept.action == "x"


def test_the_clock_applies_the_settings_and_tells_only_when_something_went(
    target, settings
):
    judged(target, 100)
    judged(target, 99)
    tasks.prune()
    assert not AuditEvent.objects.exists()
    assert Scan.objects.count() == 2
    settings.KEEP_SCANS, settings.KEEP_SCANS_PER_TARGET = timedelta(days=90), 1
    tasks.prune()
    tasks.prune()
    assert Scan.objects.count() == 1
    event = AuditEvent.objects.get()
    assert (event.actor, event.actor_kind) == ("retention", "system")
    assert event.detail["keep_last"] == 1
    told = dict(Tally.objects.values_list("labels", "value"))
    assert told["scans"] == 1
    assert told["prune"] > 1.7e9


def test_nothing_is_given_up_where_nothing_is_configured():
    assert Rules.configured().is_empty
    assert real_settings.KEEP_AUDIT is None


def test_bytes_that_no_scan_needs_go_within_ten_minutes():
    every = schedule(reaper_seconds=10)["prune"]["schedule"]
    assert every == PRUNE_SECONDS
    assert pruning.GRACE.total_seconds() + every <= 600 - 30


@pytest.mark.parametrize("text", ["90", "0d", "-1d", "soon"])
def test_a_setting_that_is_no_age_is_refused_by_name(monkeypatch, text):
    monkeypatch.setenv("SENTRASCAN_KEEP_SCANS", text)
    with pytest.raises(ImproperlyConfigured, match="SENTRASCAN_KEEP_SCANS"):
        age("SENTRASCAN_KEEP_SCANS")
