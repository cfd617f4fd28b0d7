"""What goes when: old scans, bytes nobody needs, leftovers of killed workers."""

from __future__ import annotations

import logging
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apikeys.models import IdempotencyRecord
from scans import storage
from scans.choices import ScanStatus
from scans.models import FINISHED, ResultClaim, Scan, StoredResult, Upload, Worker

logger = logging.getLogger(__name__)

BATCH = 500
# A stored result goes with its scan, and earlier where nobody has used it for so long.
RESULTS_KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many scans, stored uploads and stray files went, or would go."""

    scans: int = 0
    uploads: int = 0
    files: int = 0


def prune(older_than: timedelta, *, dry_run: bool = False) -> Pruned:
    """Delete finished scans created before `older_than` ago, then what they held.

    Running and queued scans stay whatever their age. In batches: a reader waits for
    none of them.
    """
    cutoff = timezone.now() - older_than
    old = Scan.objects.filter(created_at__lt=cutoff, scan_status__in=FINISHED)
    if dry_run:
        return Pruned(scans=old.count())
    count = 0
    while batch := list(
        old.order_by("created_at").values_list("pk", flat=True)[:BATCH]
    ):
        count += Scan.objects.filter(pk__in=batch).delete()[0]
    swept = sweep(grace=timedelta(minutes=5))
    return Pruned(count, swept.uploads, swept.files)


def sweep(*, grace: timedelta) -> Pruned:
    """Remove bytes, directories and rows that nothing refers to since `grace` ago."""
    uploads = sum(_remove_upload(pk, grace) for pk in _unused_uploads(grace))
    files = sum(_remove_file(path) for path in _stray_files(grace))
    files += sum(_remove_run(path) for path in _stray_runs(grace))
    _remove_results()
    IdempotencyRecord.objects.prune()
    Worker.objects.filter(seen_at__lt=timezone.now() - timedelta(hours=1)).delete()
    if uploads or files:
        logger.info("Removed %s unused uploads and %s stray files", uploads, files)
    return Pruned(uploads=uploads, files=files)


def _remove_results() -> None:
    """Remove results that nobody uses, and claims of workers that died."""
    unused = StoredResult.objects.unused(before=timezone.now() - RESULTS_KEPT)
    while batch := list(unused.values_list("pk", flat=True)[:BATCH]):
        StoredResult.objects.filter(pk__in=batch).delete()
    ResultClaim.objects.exclude(scan__scan_status=ScanStatus.RUNNING).delete()


def _unused_uploads(grace: timedelta) -> list[uuid.UUID]:
    unused = Upload.objects.unused(before=timezone.now() - grace)
    return list(unused.values_list("pk", flat=True))


def _remove_upload(upload_id: uuid.UUID, grace: timedelta) -> bool:
    # The row goes first and stays locked until the commit: who submits the same bytes
    # now waits for us, and then puts its own copy there.
    with transaction.atomic():
        unused = Upload.objects.unused(before=timezone.now() - grace)
        row = unused.select_for_update().filter(pk=upload_id).first()
        if row is None:
            return False
        Upload.objects.filter(pk=upload_id).delete()
        storage.path_of(row.sha256).unlink(missing_ok=True)
    return True


def _stray_files(grace: timedelta) -> Iterator[Path]:
    """Stored files without a row, and half uploads of clients that went away."""
    cutoff = time.time() - grace.total_seconds()
    root = Path(settings.UPLOAD_DIR)
    for folder in sorted(root.glob("??")):
        old = {p.name: p for p in folder.iterdir() if _modified(p) < cutoff}
        known = Upload.objects.filter(sha256__in=old).values_list("sha256", flat=True)
        yield from (path for name, path in old.items() if name not in set(known))
    # An upload of many gigabytes may take long; it is written to all the time.
    yield from (p for p in (root / "incoming").glob("*") if _modified(p) < cutoff)


def _stray_runs(grace: timedelta) -> Iterator[Path]:
    """Directories of attempts that are over, left by workers that were killed."""
    cutoff = time.time() - grace.total_seconds()
    running = Scan.objects.filter(scan_status=ScanStatus.RUNNING)
    for path in Path(settings.RUN_DIR).glob("*"):
        if _modified(path) >= cutoff:
            continue
        try:
            scan_id, attempt, _ = path.name.split(".")
            is_running = running.filter(pk=uuid.UUID(scan_id), attempt=int(attempt))
        except ValueError:
            yield path
        else:
            if not is_running.exists():
                yield path


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _remove_file(path: Path) -> bool:
    path.unlink(missing_ok=True)
    return True


def _remove_run(path: Path) -> bool:
    shutil.rmtree(path, ignore_errors=True)
    return not path.exists()
