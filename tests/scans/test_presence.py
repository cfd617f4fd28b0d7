"""A worker's row, written by threads of its main process."""

from __future__ import annotations

import pytest

from scans.management import presence
from scans.models import Worker
from tests.project.running import eventually

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
    assert not Worker.objects.exists()
