"""`prune`, by the real command."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from apikeys.models import AuditEvent
from scans import intake
from scans.management import space
from scans.management.commands.prune import age
from scans.models import Scan, ScanFile
from tests.scans.builders import queued_scan

pytestmark = pytest.mark.django_db


def prune(*arguments: str) -> str:
    said = StringIO()
    call_command("prune", *arguments, stdout=said)
    return said.getvalue()


@pytest.fixture
def old_and_new():
    scans = []
    for index, days in enumerate((100, 10)):
        scan = queued_scan({f"{index}.bin": bytes([index])})
        intake.cancel(scan.pk, actor=intake.audit.COMMAND_LINE)
        created = timezone.now() - timedelta(days=days)
        Scan.objects.filter(pk=scan.pk).update(created_at=created)
        scans.append(scan)
    return scans


def test_it_removes_what_is_older_and_keeps_the_rest(old_and_new):
    assert "Removed 1 scans" in prune("--older-than", "90d")
    assert list(Scan.objects.values_list("pk", flat=True)) == [old_and_new[1].pk]
    event = AuditEvent.objects.get(action="scan.prune")
    assert event.actor == "command line"
    assert event.detail["scans"] == 1
    assert event.detail["scans_older_than_seconds"] == 90 * 86_400


@pytest.mark.usefixtures("old_and_new")
def test_a_rehearsal_says_how_many_and_removes_nothing():
    assert "1 scans would be removed" in prune("--older-than", "90d", "--dry-run")
    assert Scan.objects.count() == 2
    assert not AuditEvent.objects.filter(action="scan.prune").exists()


def test_a_queued_scan_stays_whatever_its_age():
    scan = queued_scan({"a.bin": b"a"})
    created = timezone.now() - timedelta(days=400)
    Scan.objects.filter(pk=scan.pk).update(created_at=created)
    prune("--older-than", "1d")
    assert Scan.objects.filter(pk=scan.pk).exists()


def test_it_keeps_the_last_of_a_target(old_and_new):
    Scan.objects.update(scan_status="completed", verdict="pass")
    # Two targets with one scan each: the last of each stays.
    assert "Removed 0 scans" in prune("--older-than", "1d", "--keep-last", "1")
    target = old_and_new[1].target_record
    Scan.objects.update(target_record=target)
    assert "1 scans would" in prune("--keep-last", "1", "--dry-run")
    assert "Removed 1 scans" in prune("--keep-last", "1")
    assert Scan.objects.get() == old_and_new[1]


def test_without_an_age_the_settings_hold(old_and_new, settings):
    settings.KEEP_SCANS = timedelta(days=50)
    assert "Removed 1 scans" in prune()
    assert Scan.objects.get() == old_and_new[1]


def test_without_any_rule_it_is_called_wrongly():
    with pytest.raises(CommandError, match="SENTRASCAN_KEEP_SCANS") as refused:
        prune()
    assert refused.value.returncode == 3


@pytest.mark.usefixtures("old_and_new")
def test_bytes_and_audit_events_go_by_ages_of_their_own():
    past = timezone.now() - timedelta(days=40)
    AuditEvent.objects.update(created_at=past)
    events = AuditEvent.objects.count()
    said = prune("--uploads-older-than", "50d", "--audit-older-than", "30d")
    assert f"the bytes of 1 files of kept scans, {events} audit events" in said
    assert Scan.objects.count() == 2
    assert ScanFile.objects.count() == 1
    # What went is itself in the record.
    assert AuditEvent.objects.get().detail["audit_events"] == events


@pytest.mark.django_db(transaction=True)
@pytest.mark.sqlite
@pytest.mark.usefixtures("old_and_new")
def test_the_space_of_deleted_rows_is_made_usable_on_demand(monkeypatch):
    assert "can be used again" in prune("--older-than", "1d", "--vacuum")
    monkeypatch.setattr(space, "WORTH_BYTES", 0)
    monkeypatch.setattr(space, "WORTH_ROWS", 0)
    assert "prune --vacuum" in prune("--older-than", "1d")


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90d", timedelta(days=90)),
        ("12h", timedelta(hours=12)),
        ("8w", timedelta(weeks=8)),
    ],
)
def test_it_reads_ages(text, length):
    assert age(text) == length


@pytest.mark.parametrize(
    "text", ["90", "d", "-1d", "0d", "1.5d", "90 d", "999999w", "٣d"]
)
def test_it_refuses_what_is_no_age(text):
    with pytest.raises(CommandError):
        prune(f"--older-than={text}")
