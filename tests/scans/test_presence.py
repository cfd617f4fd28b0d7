"""A worker's row, written by threads of the process beside it."""

from __future__ import annotations

import pytest
from django.utils import timezone

from scans import rulesets
from scans.detection import Detection
from scans.management import presence
from scans.models import StoredResult, Worker
from tests.project.running import eventually
from tests.scans.api_samples import make_run, make_scan

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.mark.usefixtures("tools")
def test_a_scanner_that_did_not_detect_is_tried_again(monkeypatch, settings, tmp_path):
    monkeypatch.setattr(presence, "CALM_SECONDS", 1)
    monkeypatch.setattr(presence, "START_SECONDS", 0)
    monkeypatch.setattr(presence, "DOUBT_SECONDS", 0.2)
    real, settings.SCANNERS_DIR = settings.SCANNERS_DIR, tmp_path

    def status() -> str:
        row = Worker.objects.filter(name="host:1").first()
        return (row.scanners if row else {}).get("modelaudit", {}).get("status", "")

    worker = presence.Presence("host:1")
    worker.start()
    try:
        eventually(lambda: status() == "missing", 60, "its absence is seen")
        settings.SCANNERS_DIR = real
        eventually(lambda: status() == "available", 120, "its return is seen")
    finally:
        worker.stop()
        for thread in worker._threads:
            thread.join(60)
    # The worker takes the row away next, and nobody writes it again.
    Worker.objects.all().delete()
    worker._upsert(timezone.now())
    assert not Worker.objects.exists()


def test_what_a_scanner_said_goes_when_it_does_not_detect(monkeypatch):
    for key, scanner in (("ab" * 32, "modelaudit"), ("cd" * 32, "sentrascan-files")):
        run = make_run(make_scan(), scanner)
        StoredResult.objects.create(key=key, run=run, scanner=scanner, report="{}")
    found = [
        Detection("modelaudit", "broken", "1", "it did not find what was planted"),
        Detection("sentrascan-files", "available", "1"),
    ]
    monkeypatch.setattr(presence, "detect_all", lambda stop: found)
    worker = presence.Presence("host:1")
    assert worker._try_scanners()
    assert StoredResult.objects.get().scanner == "sentrascan-files"


def test_what_it_said_between_broken_and_well_again_goes_too(monkeypatch):
    status = iter(["broken", "available", "available", "missing"])
    monkeypatch.setattr(
        presence,
        "detect_all",
        lambda stop: [Detection("modelaudit", next(status), "1")],
    )
    worker = presence.Presence("host:1")
    left = []
    for key in ("ab", "cd", "ef", "12"):
        run = make_run(make_scan(), "modelaudit")
        StoredResult.objects.create(
            key=key * 32, run=run, scanner="modelaudit", report="{}"
        )
        assert worker._try_scanners()
        left.append(StoredResult.objects.count())
    assert left == [0, 0, 1, 2]


def test_a_worker_says_by_which_rules_it_scans():
    worker = presence.Presence("host:1")
    worker._upsert(timezone.now())
    assert Worker.objects.get().rules == rulesets.known_here()


def test_a_release_put_under_a_worker_is_not_what_it_scans_by():
    """Its companion, started again, has the new code; its pool has the old."""
    worker = presence.Presence("host:1", code="0.0.9:" + "ab" * 32)
    worker._upsert(timezone.now())
    assert Worker.objects.get().rules == ""
    same = presence.Presence("host:1", code=rulesets.loaded_code())
    same._upsert(timezone.now())
    assert Worker.objects.get().rules == rulesets.known_here()
