"""The first page: what is wrong, what runs, what somebody has to decide on."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from scans.models import ScanDay, ScanDrift, Waiver
from tests.scans.api_samples import make_scan

pytestmark = pytest.mark.django_db


def tile(page: str, words: str) -> int:
    found = re.search(rf"<b[^>]*>(\d+)\+?</b><span>.*?{words}", page)
    assert found, words
    return int(found[1])


def seen(client, query: str = "") -> str:
    return client.get(f"/{query}").content.decode()


def scan_of(hours: float, **fields):
    return make_scan(created_at=timezone.now() - timedelta(hours=hours), **fields)


def test_before_the_first_scan_it_says_how_to_make_one(scanner):
    page = seen(scanner)
    assert "Nothing has been scanned yet" in page
    assert 'href="/scans/new"' in page


def test_the_last_day_is_counted_and_what_failed_is_named(viewer):
    scan_of(1, verdict="fail", target="bad.pkl", reasons=["An opcode <runs>"])
    scan_of(2, verdict="inconclusive", target="odd.bin")
    scan_of(3)
    scan_of(30, verdict="fail", target="yesterday.pkl")
    page = seen(viewer)
    assert tile(page, "failed") == 1
    assert tile(page, "inconclusive") == 1
    assert tile(page, "passed") == 1
    assert "An opcode &lt;runs&gt;" in page
    assert "yesterday.pkl" not in page


def test_what_runs_is_listed_with_how_far_it_is(viewer):
    scan_of(
        0.1,
        scan_status="running",
        target="big.gguf",
        progress_stage="fetch",
        progress_done=5,
        progress_total=9,
    )
    page = seen(viewer)
    assert tile(page, "running") == 1
    assert 'max="9" value="5"' in page


def test_what_runs_is_asked_for_again_as_a_part_of_the_page(viewer):
    page = seen(viewer)
    assert 'hx-get="/running"' not in page  # before the first scan nothing can run
    scan_of(1)
    page = seen(viewer)
    assert '<b id="running-count">0</b>' in page
    assert re.search(r'<div id="running"[^>]*hx-get="/running"[^>]*></div>', page)
    scan_of(0.1, scan_status="queued", target="next.gguf")
    part = viewer.get("/running").content.decode()
    assert '<b id="running-count">1</b>' in part
    assert 'id="running"' in part
    assert "next.gguf" in part
    assert "<html" not in part


def test_what_runs_is_for_those_who_are_signed_in(client):
    assert client.get("/running").status_code == 302


def test_what_needs_a_look_is_told_once_a_target(viewer):
    for hours in (30, 40):
        scan_of(hours, target="new.pkl", critical_count=1, new_findings=1)
    scan_of(30, target="known.pkl", critical_count=1)
    drifted = scan_of(50, target="tools", scan_type="mcp")
    ScanDrift.objects.create(
        scan=drifted, baseline_id=drifted.pk, changes=[{"kind": "added"}]
    )
    same = scan_of(51, target="same-tools", scan_type="mcp")
    ScanDrift.objects.create(scan=same, baseline_id=same.pk, changes=[])
    for days, reason in ((5, "ends soon"), (60, "ends late")):
        Waiver.objects.create(
            fingerprint=f"v1:{'a' * 64}",
            reason=reason,
            expires_at=timezone.now() + timedelta(days=days),
        )
    page = seen(viewer)
    assert page.count("new.pkl") == 1
    assert "tools</a>" in page
    assert "#drift" in page
    assert "ends soon" in page
    for absent in ("known.pkl", "same-tools", "ends late"):
        assert absent not in page, absent


def test_findings_are_drawn_for_30_or_90_days(viewer):
    scan_of(1, critical_count=2, total_findings=2)
    scan_of(24 * 60, high_count=7, total_findings=7)
    assert "last 30 days: 2 critical" in seen(viewer)
    assert "last 90 days: 2 critical, 7 high" in seen(viewer, "?days=90")


def test_today_is_counted_at_each_look(viewer):
    scan_of(0, critical_count=1, total_findings=1)
    assert "1 critical" in seen(viewer)
    scan_of(0, critical_count=1, total_findings=1)
    assert "2 critical" in seen(viewer)


def test_past_days_are_read_off_what_was_counted(viewer):
    scan_of(24 * 2, critical_count=1, total_findings=1)
    assert "days: 1 critical" in seen(viewer)  # nobody has counted yet: counted now
    assert ScanDay.objects.renew(timezone.now())
    scan_of(24 * 2, critical_count=1, total_findings=1)
    assert "days: 1 critical" in seen(viewer)
    assert ScanDay.objects.renew(timezone.now() + timedelta(hours=2))
    assert "days: 2 critical" in seen(viewer)


def test_a_day_that_nobody_has_counted_yet_is_counted_by_the_look(viewer):
    ScanDay.objects.renew(timezone.now() - timedelta(days=3))
    scan_of(24 * 1, high_count=3, total_findings=3)
    scan_of(24 * 2, high_count=4, total_findings=4)
    assert "days: 7 high" in seen(viewer)


def test_a_look_counts_no_day_that_was_counted(viewer):
    scan_of(24 * 40, low_count=1, total_findings=1)
    scan_of(24 * 1, low_count=2, total_findings=2)
    ScanDay.objects.renew(timezone.now())
    with CaptureQueriesContext(connection) as asked:
        assert "90 days: 3 low" in seen(viewer, "?days=90")
    (counting,) = [each["sql"] for each in asked if "GROUP BY" in each["sql"]]
    since = datetime.fromisoformat(re.findall(r"20\d\d-[-\d]+ [:\d.]+", counting)[-1])
    assert timezone.now() - since.replace(tzinfo=UTC) < timedelta(hours=25)


def test_drift_is_looked_for_among_the_newest_only(viewer, monkeypatch):
    for number, name in enumerate(("older-tools", "newer-tools")):
        scan = scan_of(50 - number, target=name, scan_id=uuid.UUID(int=number + 1))
        ScanDrift.objects.create(
            scan=scan, baseline_id=scan.pk, changes=[{"kind": "added"}]
        )
    assert "older-tools" in seen(viewer)
    monkeypatch.setattr("scans.console.overview.LOOKED_AT", 1)
    page = seen(viewer)
    assert "newer-tools" in page
    assert "older-tools" not in page
