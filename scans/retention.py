"""What nobody needs: bytes without a scan, leftovers of killed workers, old results."""

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
from scans import request_headers, storage
from scans.choices import ScanStatus
from scans.models import ResultClaim, Scan, StoredResult, Upload, Worker

logger = logging.getLogger(__name__)

BATCH = 500
# A stored result goes with its scan, and earlier where nobody has used it for so long.
RESULTS_KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Swept:
    """How many stored uploads with how many bytes went, and how many stray files."""

    uploads: int = 0
    bytes: int = 0
    files: int = 0


def sweep(*, grace: timedelta) -> Swept:
    """Remove bytes, directories and rows that nothing refers to since `grace` ago."""
    removed = [_remove_upload(pk, grace) for pk in _unused_uploads(grace)]
    sizes = [size for size in removed if size is not None]
    files = sum(_remove_file(path) for path in _stray_files(grace))
    files += sum(_remove_run(path) for path in _stray_runs(grace))
    _remove_results()
    request_headers.forget()
    IdempotencyRecord.objects.prune()
    Worker.objects.filter(seen_at__lt=timezone.now() - timedelta(hours=1)).delete()
    if sizes or files:
        message = "Removed %s unused uploads (%s bytes) and %s stray files"
        logger.info(message, len(sizes), sum(sizes), files)
    return Swept(uploads=len(sizes), bytes=sum(sizes), files=files)


def _remove_results() -> None:
    """Remove results that nobody uses, and claims of workers that died."""
    unused = StoredResult.objects.unused(before=timezone.now() - RESULTS_KEPT)
    while batch := list(unused.values_list("pk", flat=True)[:BATCH]):
        StoredResult.objects.filter(pk__in=batch).delete()
    ResultClaim.objects.exclude(scan__scan_status=ScanStatus.RUNNING).delete()


def _unused_uploads(grace: timedelta) -> list[uuid.UUID]:
    unused = Upload.objects.unused(before=timezone.now() - grace)
    return list(unused.values_list("pk", flat=True))


def _remove_upload(upload_id: uuid.UUID, grace: timedelta) -> int | None:
    """Remove it and return its size; None when somebody needs it by now."""
    # The row goes first and stays locked until the commit: who submits the same bytes
    # now waits for us, and then puts its own copy there.
    with transaction.atomic():
        unused = Upload.objects.unused(before=timezone.now() - grace)
        row = unused.select_for_update().filter(pk=upload_id).first()
        if row is None:
            return None
        Upload.objects.filter(pk=upload_id).delete()
        storage.path_of(row.sha256).unlink(missing_ok=True)
    return row.size_bytes


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
