"""What is counted of every scan, in the transaction in which it ends.

Only here is said what is counted under which name; `/metrics` reads the same names.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping

from django.utils import timezone

from scanners.contract import Severity
from scans.choices import ScanStatus, Verdict
from scans.models import Scan, ScannerRun, Tally

SCANS = "scans"
VERDICTS = "verdicts"
FINDINGS = "findings"
RUNS = "runs"
REUSED = "reused"
LOST = "lost"
PRUNED = "pruned"
SCAN_SECONDS = "scan_seconds"
RUN_SECONDS = "run_seconds"
TASK_ENDED_AT = "task_ended_at"
# Upper bounds of the histograms, in seconds; one more is without end.
BOUNDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
BOUND_NAMES = (*(f"{bound:g}" for bound in BOUNDS), "+Inf")
SUM = "sum"

type Tallies = Counter[tuple[str, str]]


def count_judged(
    scan: Scan,
    status: ScanStatus,
    verdict: Verdict | str,
    severities: Mapping[Severity, int] | None = None,
    runs: Iterable[ScannerRun] = (),
) -> None:
    """Count a scan that has just been given its verdict, with what was found.

    A run whose stored result was used again is counted as reused: no tool ran.
    """
    counted: Tallies = Counter()
    counted[SCANS, f"{scan.scan_type},{status}"] += 1
    counted[VERDICTS, str(verdict)] += 1
    if scan.started_at:
        seconds = (timezone.now() - scan.started_at).total_seconds()
        _observe(counted, SCAN_SECONDS, scan.scan_type, seconds)
    for severity, found in (severities or {}).items():
        counted[FINDINGS, severity.name.lower()] += found
    for run in runs:
        if run.reused_from is not None:
            counted[REUSED, run.scanner] += 1
            continue
        counted[RUNS, f"{run.scanner},{run.status}"] += 1
        _observe(counted, RUN_SECONDS, run.scanner, run.duration_ms / 1000)
    Tally.objects.add({key: value for key, value in counted.items() if value})


def count_cancelled(scan_type: str) -> None:
    Tally.objects.add({(SCANS, f"{scan_type},{ScanStatus.CANCELLED}"): 1})


def count_lost(attempts: int) -> None:
    """Count attempts whose worker was not heard of any more."""
    Tally.objects.add({(LOST, ""): attempts})


def count_pruned(gone: Mapping[str, int]) -> None:
    """Count what retention or an operator removed, by kind."""
    Tally.objects.add({(PRUNED, kind): count for kind, count in gone.items() if count})


def note_task(name: str) -> None:
    """Note that a timed task has come to its end just now."""
    Tally.objects.put({(TASK_ENDED_AT, name): time.time()})


def _observe(counted: Tallies, name: str, label: str, seconds: float) -> None:
    # Counter's own type takes whole numbers alone; a sum of seconds is none.
    seconds = max(seconds, 0.0)
    bound = BOUND_NAMES[bisect_left(BOUNDS, seconds)]
    counted[name, f"{label},{bound}"] += 1
    counted[name, f"{label},{SUM}"] += seconds  # type: ignore[assignment]  # sums are floats
