from __future__ import annotations

import os
import time
import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from scans import retention, storage
from scans.models import Scan, Upload
from tests.scans.builders import queued_scan

pytestmark = pytest.mark.django_db(transaction=True)
GRACE = timedelta(minutes=5)


@pytest.fixture(autouse=True)
def places(settings, tmp_path, monkeypatch):
    settings.UPLOAD_DIR, settings.RUN_DIR = tmp_path / "uploads", tmp_path / "runs"
    settings.RUN_DIR.mkdir()
    monkeypatch.setattr("scans.tasks.announce", lambda scan_id, **_: None)


def age(path: Path) -> None:
    past = time.time() - 3600
    os.utime(path, (past, past))


def age_uploads() -> None:
    past = timezone.now() - timedelta(hours=1)
    Upload.objects.update(last_used_at=past)
    for upload in Upload.objects.all():
        age(storage.path_of(upload.sha256))


def test_bytes_that_a_scan_needs_stay():
    scan = queued_scan({"m": b"x"})
    age_uploads()
    assert retention.sweep(grace=GRACE).uploads == 0
    assert storage.path_of(scan.files.get().upload.sha256).exists()


def test_bytes_go_when_their_scan_was_deleted_by_sql():
    queued_scan({"m": b"x"})
    path = storage.path_of(Upload.objects.get().sha256)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM scans")
    assert retention.sweep(grace=GRACE).uploads == 0  # somebody may be about to use it
    age_uploads()
    assert retention.sweep(grace=GRACE).uploads == 1
    assert not path.exists()


def test_bytes_go_when_even_their_row_was_deleted_by_sql():
    queued_scan({"m": b"x"})
    path = storage.path_of(Upload.objects.get().sha256)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM scan_files")
        cursor.execute("DELETE FROM uploads")
    age(path)
    assert retention.sweep(grace=GRACE).files == 1
    assert not path.exists()


def test_half_uploads_and_runs_of_dead_workers_go(settings):
    half = storage.incoming_dir() / "half"
    half.write_bytes(b"x")
    dead = settings.RUN_DIR / f"{uuid.uuid4()}.1.x"
    (dead / "target").mkdir(parents=True)
    scan = queued_scan({"m": b"x"})
    lease = Scan.objects.claim(scan.pk, owner="me", seconds=20)
    alive = settings.RUN_DIR / f"{scan.pk}.{lease.attempt}.x"
    alive.mkdir()
    for path in (half, dead, alive):
        age(path)
    retention.sweep(grace=GRACE)
    assert not half.exists()
    assert not dead.exists()
    assert alive.exists()
