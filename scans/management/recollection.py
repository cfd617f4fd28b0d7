"""What the detections on this host gave lately, for a worker that starts anew.

A worker believes its own detections for ten minutes. One that takes its place on the
same host, with the same rules and in the same sandbox, may believe them for the rest of
that time: it is ready at once, and a restart in a busy moment costs no cold tools.
"""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from django.conf import settings

AGAIN_SECONDS = 600
_BOOT = Path("/proc/sys/kernel/random/boot_id")

type Told = dict[str, dict[str, Any]]


def recall(rules: str, sandbox: str) -> Told:
    """Return what each scanner gave, if all is well and of the last ten minutes."""
    try:
        kept = json.loads(_place().read_bytes())
        scanners: Told = kept["scanners"]
        ages = [time.time() - float(one["tried_at"]) for one in scanners.values()]
        is_of_this = kept["of"] == _circumstances(rules, sandbox)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    is_recent = bool(ages) and all(0 <= age < AGAIN_SECONDS for age in ages)
    return scanners if rules and is_of_this and is_recent else {}


def keep(rules: str, sandbox: str, scanners: Told) -> None:
    """Write it down, or forget what was there: one that is not well is tried anew."""
    place = _place()
    with suppress(OSError):  # no space: the next worker tries for itself
        if any(one["status"] != "available" for one in scanners.values()):
            place.unlink(missing_ok=True)
            return
        place.parent.mkdir(mode=0o700, exist_ok=True)
        _sweep(place.parent)
        kept = {"of": _circumstances(rules, sandbox), "scanners": scanners}
        with NamedTemporaryFile("w", dir=place.parent, delete=False) as draft:
            json.dump(kept, draft)
        Path(draft.name).replace(place)


def _circumstances(rules: str, sandbox: str) -> list[str]:
    boot = _BOOT.read_text().strip() if _BOOT.exists() else ""
    return [rules, sandbox, boot, str(os.getuid())]


def _place() -> Path:
    return Path(settings.DATA_DIR) / "detections" / f"{socket.gethostname()}.json"


def _sweep(folder: Path) -> None:
    """Remove what other hosts left, which in containers have a new name each time."""
    for path in folder.iterdir():
        if time.time() - path.stat().st_mtime > AGAIN_SECONDS:
            path.unlink(missing_ok=True)
