"""Where the web processes of one server count together: files that each maps.

prometheus_client chooses its way of counting when it is first imported, by the
environment. So the web server calls `prepare` before it loads the application.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# Held until the last process of this server has ended: each fork shares it.
_held: list[int] = []


def prepare(parent: Path) -> Path:
    """Make a directory for the counts of this server; remove those of dead servers.

    A server that was killed leaves its directory, and the kernel drops its lock.
    Several may count below one `parent`: replicas share a volume.
    """
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in parent.iterdir():
        _remove_if_dead(left)
    directory = Path(tempfile.mkdtemp(prefix="server-", dir=parent))
    _held.append(_locked(directory))
    os.environ[VARIABLE] = str(directory)
    return directory


def _locked(directory: Path) -> int:
    """Lock the directory; raise `BlockingIOError` when a living server holds it."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _remove_if_dead(directory: Path) -> None:
    try:
        descriptor = _locked(directory)
    except OSError:  # it lives, or another server just removed it
        return
    shutil.rmtree(directory, ignore_errors=True)
    os.close(descriptor)
