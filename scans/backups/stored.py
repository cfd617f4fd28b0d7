"""The stored uploads of a backup: beside the store first, then in their places."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from django.conf import settings

from scans import storage
from scans.backups.archive import StoredFile
from scans.backups.failures import BackupError
from scans.backups.sources import Source
from scans.backups.taking import Watch
from scans.models import Upload


def workshop() -> Path:
    """Return the directory of a restore at work; what a killed one left is removed."""
    directory = Path(settings.DATA_DIR) / "restoring"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700, parents=True)
    return directory


def check_space(files: list[StoredFile]) -> None:
    """Raise `BackupError` where the stored uploads cannot fit on the disk."""
    needed = sum(file.size for file in files if file.is_sound)
    free = shutil.disk_usage(settings.DATA_DIR).free
    if needed and needed + settings.MIN_FREE_BYTES > free:
        raise BackupError(
            f"the stored uploads take {needed:,} bytes and {free:,} are free"
        )


def stage(
    source: Source, files: list[StoredFile], directory: Path, watch: Watch
) -> list[Path]:
    """Write all bytes of the backup into `directory`, each checked by its SHA-256."""
    kept = [file for file in files if file.is_sound]
    if kept:
        total = sum(file.size for file in kept)
        watch.begin("Writing stored uploads", total, "bytes")
    staged = []
    for file in kept:
        path = directory / file.sha256
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            for chunk in source.chunks(file):
                target.write(chunk)
                watch.moved(len(chunk))
            target.flush()
            os.fsync(target.fileno())
        staged.append(path)
    return staged


def put(staged: list[Path]) -> None:
    """Move staged bytes to their places.

    Just before the swap: no row of the present database needs them, so that retention
    would remove them again some minutes later.
    """
    for path in staged:
        place = storage.path_of(path.name)
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.replace(place)
        os.utime(place)


def missing() -> int:
    """Return how many uploads of the database have no bytes here."""
    names = Upload.objects.values_list("sha256", flat=True).iterator()
    return sum(not storage.path_of(sha256).exists() for sha256 in names)
