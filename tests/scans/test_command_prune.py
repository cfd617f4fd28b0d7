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
from scans.management.commands.prune import age
from scans.models import Scan
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
    assert event.detail["older_than_seconds"] == 90 * 86_400


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
