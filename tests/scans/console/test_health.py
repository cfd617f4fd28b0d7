from __future__ import annotations

import re
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from scanners.registry import SCANNERS
from scans import detection
from scans.choices import ScanStatus
from scans.models import Worker
from scans.scanner_states import BELIEVED_SECONDS
from tests.scans.api_samples import make_scan

pytestmark = pytest.mark.django_db


def told(status: str = "available", *, age: float = 5, reason: str = "") -> dict:
    return {
        "status": status,
        "version": "1.2",
        "reason": reason,
        "host": "warm",
        "tried_at": time.time() - age,
    }


def make_worker(name: str = "host:1", **scanners: dict) -> Worker:
    seen = {each: told() for each in SCANNERS} | scanners
    return Worker.objects.create(name=name, sandbox="bubblewrap", scanners=seen)


def rows(page) -> dict[str, str]:
    """Return scanner -> its row as text."""
    table = page.content.decode().partition('aria-label="Scanners"')[2]
    found = re.findall(
        r'<th scope="row" class="name">([\w-]+)</th>(.*?)</tr>', table, re.S
    )
    return {name: re.sub(r"<[^>]+>|\s+", " ", row) for name, row in found}


def test_all_is_well(viewer):
    make_worker()
    page = viewer.get("/health")
    assert b"Everything works" in page.content
    seen = rows(page)
    assert seen.keys() == SCANNERS.keys()
    assert all("available" in row and "1.2" in row for row in seen.values())


def test_a_scanner_is_as_bad_as_on_its_worst_worker(viewer):
    make_worker("host:1")
    broken = told("broken", reason="found nothing")
    make_worker("host:2", modelaudit=broken)
    page = viewer.get("/health")
    assert b"Something needs you" in page.content
    row = rows(page)["modelaudit"]
    assert "broken" in row
    assert "found nothing" in row
    assert "host:2" in row


def test_what_was_seen_long_ago_proves_nothing(viewer):
    make_worker(modelaudit=told(age=BELIEVED_SECONDS + 60))
    page = viewer.get("/health")
    assert "untried" in rows(page)["modelaudit"]
    assert b"Something needs you" in page.content


def test_a_worker_that_has_not_tried_says_so(viewer):
    Worker.objects.create(name="host:1")
    assert "has not tried it yet" in rows(viewer.get("/health"))["modelaudit"]


def test_without_workers_it_says_how_to_start_one(viewer):
    gone = timezone.now() - timedelta(minutes=5)
    Worker.objects.create(name="dead", seen_at=gone)
    page = viewer.get("/health")
    assert b"No worker is alive" in page.content
    assert b"dead" not in page.content


def test_it_runs_no_detection(viewer, monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("a detection in a request")

    monkeypatch.setattr(detection, "detect_all", refuse)
    monkeypatch.setattr("scanners.runner.run", refuse)
    make_worker()
    assert viewer.get("/health").status_code == 200


def test_the_queue_is_counted_and_its_oldest_told(viewer):
    make_worker()
    make_scan(scan_status=ScanStatus.QUEUED)
    make_scan(scan_status=ScanStatus.RUNNING)
    past = timezone.now() - timedelta(minutes=3)
    make_scan(scan_status=ScanStatus.RUNNING, lease_expires_at=past)
    page = viewer.get("/health").content.decode()
    assert "1 waiting, 2 running" in page
    assert "2026-01-01 00:00:00 UTC" in page
    assert "1 lost its worker" in page


def test_a_full_disk_is_seen(viewer, settings):
    make_worker()
    settings.MIN_FREE_BYTES = 1 << 60
    assert b"nothing is accepted" in viewer.get("/health").content


@pytest.mark.parametrize(
    ("age", "said"),
    [
        (None, "for ever"),
        (timedelta(days=90), "90 days"),
        (timedelta(hours=36), "36 hours"),
    ],
)
def test_what_is_kept_is_told(viewer, settings, age, said):
    settings.KEEP_AUDIT = age
    page = viewer.get("/health").content.decode()
    assert f"<dt>Audit events</dt><dd>{said}</dd>" in page
