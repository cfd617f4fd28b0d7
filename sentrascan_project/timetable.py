"""What the clock of an installation asks for, and which process takes it."""

from __future__ import annotations

from typing import Any

HOUSEKEEPING = "housekeeping"
# With five minutes of grace: bytes that no scan needs go within ten.
PRUNE_SECONDS = 240
# It counts once an hour and soon after midnight; else it only looks whether it is time.
COUNT_DAYS_SECONDS = 60

# The reaper must not stand in line behind long scans: beat's own process takes it.
ROUTES = {
    "scans.tasks.reap": {"queue": HOUSEKEEPING},
    "scans.tasks.prune": {"queue": HOUSEKEEPING},
    "scans.tasks.count_days": {"queue": HOUSEKEEPING},
}


def schedule(*, reaper_seconds: int) -> dict[str, dict[str, Any]]:
    """Return Celery's beat schedule. What was not taken in time is asked for anew."""
    every = {
        "reap": reaper_seconds,
        "prune": PRUNE_SECONDS,
        "count_days": COUNT_DAYS_SECONDS,
    }
    return {
        name: {
            "task": f"scans.tasks.{name}",
            "schedule": seconds,
            "options": {"expires": seconds},
        }
        for name, seconds in every.items()
    }
