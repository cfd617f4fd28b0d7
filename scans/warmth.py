"""The warm hosts of a worker: where they are, and who keeps them."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

from django.conf import settings

from scanners.hosts import Hosts
from scanners.install import installed
from scanners.registry import SCANNERS
from scans.models import worker_name
from scans.sandboxing import chosen_rung


def nearby() -> Path | None:
    """Return where the hosts of this process's worker are, None if it has none.

    A pool's child, and the process beside the worker, use those of the worker, which is
    their parent.
    """
    if not settings.HAS_WARM_HOSTS:
        return None
    places = (_place(pid) for pid in (os.getpid(), os.getppid()))
    return next((place for place in places if place.is_dir()), None)


def keeper(worker: int) -> Hosts | None:
    """Return hosts for a worker process, not yet started; None if switched off."""
    if not settings.HAS_WARM_HOSTS:
        return None
    _sweep()
    tool_of = partial(installed, directory=settings.SCANNERS_DIR)
    rung = chosen_rung().require()
    return Hosts(_place(worker), list(SCANNERS.values()), tool_of, rung)


def _place(pid: int) -> Path:
    return Path(settings.HOSTS_DIR) / worker_name(pid)


def _sweep() -> None:
    """Remove what workers of this host left that were killed."""
    ours = worker_name(0).removesuffix("0")
    for place in Path(settings.HOSTS_DIR).glob(f"{ours}*"):
        if not Path("/proc", place.name.removeprefix(ours)).exists():
            shutil.rmtree(place, ignore_errors=True)
