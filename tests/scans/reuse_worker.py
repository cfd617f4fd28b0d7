"""A worker of its own for one scan: `python -m tests.scans.reuse_worker SCAN SECONDS`.

Its only tool sleeps SECONDS. Leases are short, so that a killed one is soon known.
"""

from __future__ import annotations

import os
import sys
import uuid

import django


def main(scan_id: str, seconds: str) -> None:
    django.setup()
    from django.conf import settings

    from scans import pipeline, reuse
    from tests.scans import stand_ins

    class Slow(stand_ins.Finder):
        name = "slow"
        code = f"import time; time.sleep({seconds}); print('words: EVAL')"

    settings.LEASE_SECONDS, settings.HEARTBEAT_SECONDS = 5, 0.5
    pipeline.scanners_for = lambda kind: [Slow()]
    pipeline.installed = reuse.installed = stand_ins.own_tool
    pipeline.run(uuid.UUID(scan_id), owner=f"worker-{os.getpid()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
