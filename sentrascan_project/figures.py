"""The numbers of an installation, as families of metrics: rows in, families out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.models import Count, Min, Q
from django.utils import timezone
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from scanners.contract import Severity, TargetKind
from scanners.registry import SCANNERS
from scans import measures
from scans.choices import RunStatus, ScanStatus, Verdict
from scans.measures import BOUND_NAMES
from scans.models import FINISHED, Scan, Tally, Worker
from scans.scanner_states import scanner_states

type Tallies = Mapping[str, Mapping[tuple[str, ...], float]]

# What is known beforehand is there from the start, at 0: the first event of a series
# that did not exist before is no increase to Prometheus.
EXPECTED: dict[str, list[tuple[str, ...]]] = {
    measures.SCANS: [(kind, end) for kind in TargetKind for end in FINISHED],
    measures.VERDICTS: [(verdict,) for verdict in Verdict],
    measures.FINDINGS: [(severity.name.lower(),) for severity in Severity],
    measures.LOST: [("",)],
}
COUNTERS = (
    (measures.SCANS, "scans", "Scans that ended.", ("type", "status")),
    (measures.VERDICTS, "gate_verdicts", "Verdicts of the gate.", ("verdict",)),
    (measures.FINDINGS, "findings", "Findings of completed scans.", ("severity",)),
    (
        measures.RUNS,
        "scanner_runs",
        "Turns that scanners had; `skipped` was not asked for.",
        ("scanner", "status"),
    ),
    (
        measures.REUSED,
        "scanner_results_reused",
        "Turns that were not needed: the result was known.",
        ("scanner",),
    ),
    (measures.PRUNED, "pruned", "Rows that retention removed.", ("kind",)),
    (measures.LOST, "attempts_lost", "Scans whose worker was lost meanwhile.", ()),
)


def of_database() -> Iterator[Metric]:
    """Yield everything that the database knows, in six short queries."""
    tallies = _read_tallies()
    for name, shown, text, labels in COUNTERS:
        yield _counter(tallies, name, shown, text, labels)
    yield _histogram(
        tallies,
        measures.SCAN_SECONDS,
        "sentrascan_scan_duration_seconds",
        "From the start of a scan's last attempt to its verdict.",
        "type",
        list(TargetKind),
    )
    yield _histogram(
        tallies,
        measures.RUN_SECONDS,
        "sentrascan_scanner_run_duration_seconds",
        "How long the turn of a scanner took.",
        "scanner",
        sorted(SCANNERS),
    )
    yield from _tasks(tallies)
    yield from _queue()
    yield from _workers()
    yield _gauge("database_size_bytes", "Size of the database.", _database_size())


def of_this_host() -> Iterator[Metric]:
    """Yield what needs no database."""
    build = GaugeMetricFamily(
        "sentrascan_build_info", "1, for the release that answers.", labels=["version"]
    )
    build.add_metric([settings.VERSION], 1)
    yield build
    free = shutil.disk_usage(settings.DATA_DIR).free
    yield _gauge("storage_free_bytes", "Free space where uploads are stored.", free)
    reserved = settings.MIN_FREE_BYTES
    text = "Below this much free space nothing is accepted (507)."
    yield _gauge("storage_reserved_bytes", text, reserved)


def _read_tallies() -> Tallies:
    read: dict[str, dict[tuple[str, ...], float]] = {
        name: dict.fromkeys(labels, 0.0) for name, labels in EXPECTED.items()
    }
    read[measures.RUNS] = {
        (name, status): 0.0 for name in sorted(SCANNERS) for status in RunStatus
    }
    read[measures.REUSED] = {(name,): 0.0 for name in sorted(SCANNERS)}
    for name, labels, value in Tally.objects.values_list("name", "labels", "value"):
        read.setdefault(name, {})[tuple(labels.split(","))] = value
    return read


def _counter(
    tallies: Tallies, name: str, shown: str, text: str, labels: Sequence[str]
) -> Metric:
    family = CounterMetricFamily(f"sentrascan_{shown}", text, labels=labels)
    for values, count in tallies.get(name, {}).items():
        family.add_metric(values if labels else [], count)
    return family


def _histogram(
    tallies: Tallies,
    name: str,
    shown: str,
    text: str,
    label: str,
    expected: Sequence[str],
) -> Metric:
    family = HistogramMetricFamily(shown, text, labels=[label])
    read = tallies.get(name, {})
    for value in dict.fromkeys([*expected, *(labels[0] for labels in read)]):
        counts = accumulate(read.get((value, bound), 0.0) for bound in BOUND_NAMES)
        buckets = list(zip(BOUND_NAMES, counts, strict=True))
        family.add_metric([value], buckets, read.get((value, measures.SUM), 0.0))
    return family


def _tasks(tallies: Tallies) -> Iterator[Metric]:
    family = GaugeMetricFamily(
        "sentrascan_task_last_success_timestamp_seconds",
        "When a timed task last came to its end.",
        labels=["task"],
    )
    for values, ended_at in tallies.get(measures.TASK_ENDED_AT, {}).items():
        family.add_metric(values, ended_at)
    yield family


def _queue() -> Iterator[Metric]:
    queued = Q(scan_status=ScanStatus.QUEUED)
    open_scans = Scan.objects.exclude(scan_status__in=FINISHED)
    seen = open_scans.aggregate(
        queued=Count("pk", filter=queued),
        oldest=Min("created_at", filter=queued),
        running=Count("pk", filter=~queued),
    )
    oldest = seen["oldest"]
    waits = (timezone.now() - oldest).total_seconds() if oldest else 0.0
    yield _gauge("active_scans", "Scans that run now.", seen["running"])
    yield _gauge("queue_depth", "Scans that wait.", seen["queued"])
    yield _gauge("queue_oldest_seconds", "Age of the oldest waiting scan.", waits)


def _workers() -> Iterator[Metric]:
    live = list(Worker.objects.live())
    yield _gauge("live_workers", "Worker processes that are alive.", len(live))
    up = GaugeMetricFamily(
        "sentrascan_scanner_up",
        "1 when the scanner detects in every live worker, else 0.",
        labels=["scanner", "version"],
    )
    for state in scanner_states(live):
        up.add_metric([state.scanner, state.version], int(state.is_up))
    yield up


def _database_size() -> int:
    if connection.vendor == "sqlite":
        path = Path(connection.settings_dict["NAME"])
        files = (path, path.with_name(f"{path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        return int(cursor.fetchone()[0])


def _gauge(name: str, text: str, value: float) -> Metric:
    family = GaugeMetricFamily(f"sentrascan_{name}", text)
    family.add_metric([], value)
    return family
