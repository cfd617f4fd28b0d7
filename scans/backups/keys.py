"""The installation key, in a file of its own.

Whoever has it can sign as this installation and read what it encrypts: it is never in a
backup, only where somebody asks for it.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings

from scans.backups.failures import BackupError, Unreadable
from scans.backups.files import written_whole
from scans.sealing import KeyLost, identity_of, read_key


def save(path: Path, *, overwrite: bool = False) -> str:
    """Write the key to `path`, mode 0600; return its id.

    Raises `BackupError` where there is none, or `path` cannot be written.
    """
    key = here()
    if key is None:
        raise BackupError("nothing needed an installation key yet: there is none")
    _write(path, key, overwrite=overwrite)
    return identity_of(key)


def here() -> bytes | None:
    """Return the key of this installation; raise `BackupError` for a broken one."""
    try:
        return read_key(Path(settings.INSTALLATION_KEY_PATH))
    except KeyLost as error:
        raise BackupError(str(error)) from error


def saved(path: Path) -> bytes:
    """Return the key in a file that `save` wrote. Raises `Unreadable`."""
    try:
        key = read_key(path)
    except KeyLost as error:
        raise Unreadable(f"{path} holds no installation key") from error
    if key is None:
        raise Unreadable(f"there is no file {path}")
    return key


def install(key: bytes) -> Path | None:
    """Make `key` that of this installation; return where another one was put aside."""
    place = Path(settings.INSTALLATION_KEY_PATH)
    aside = None
    if place.exists() and place.read_bytes().strip() != base64.b64encode(key):
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        aside = place.with_name(f"{place.name}.before-{stamp}")
        aside.hardlink_to(place)
    _write(place, key, overwrite=True)
    return aside


def _write(path: Path, key: bytes, *, overwrite: bool) -> None:
    with written_whole(path, overwrite=overwrite) as file:
        file.write(base64.b64encode(key) + b"\n")
