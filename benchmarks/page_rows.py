"""What three months of much work leave behind, for the pages of the console.

Beside scans and their findings: 20,000 targets with what they remember, drift,
baselines, waivers, policies, keys and a long audit log; and one scan of an MCP target
with 50,000 findings of four scanners in 10,000 tools.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from benchmarks.rows import RUNS, fill

AGE = timedelta(days=90)
SIZES = {
    "targets": 20_000,
    "remembered": 50,
    "waivers": 10_000,
    "baselines": 5_000,
    "drifts": 20_000,
    "policies": 60,
    "versions": 20,
    "keys": 1_000,
    "events": 1_000_000,
    # Of the one scan that has much.
    "tools": 10_000,
    "each_tool": 5,
    "gaps": 300,
    "changes": 1_000,
}


def fill_pages(connection: psycopg.Connection, *, scans: int, each: int) -> None:
    """Leave what the pages show; the newest scan is of now."""
    fill(
        connection,
        SIZES | {"scans": scans, "each": each},
        [Path(__file__).with_name("pages.sql").read_text(), RUNS],
        begin=datetime.now(UTC) - AGE,
        step_seconds=AGE.total_seconds() / scans,
    )
