"""What a target's memory costs beside storing the findings of the scan that tells it.

In a database of 100,000 scans with a million findings, whose thousand targets remember
a million more. Ratio: `remember` to the insert of the same findings, whose rows are
made before. A scan that finds the same again is the common case: below 1 at a thousand
findings. Of ten the round trips are all of it, of fifty thousand the comparison is.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import django
import psycopg

from benchmarks.installation import PROJECT
from benchmarks.rows import stocked

SCANS, EACH = int(os.environ.get("BENCH_SCANS", "100000")), 10
TARGETS, REMEMBERED = 1_000, 1_000
SIZES = (10, 1_000, 50_000)
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
FILL = [
    """INSERT INTO targets (target_id, scan_type, name, created_at, last_scan_at,
        last_scan_id)
    SELECT id_of(n, 900), 'model', 'target-' || n, time_of(n), time_of(n), id_of(n, 1)
    FROM generate_series(1, %(targets)s) AS n""",
    """UPDATE scans SET target_id = id_of(place, 900) FROM (
        SELECT scan_id, 1 + row_number() OVER (ORDER BY created_at) %% %(targets)s AS
            place FROM scans) AS placed
    WHERE placed.scan_id = scans.scan_id""",
    """INSERT INTO target_findings (target_finding_id, target_id, fingerprint, scanner,
        rule, severity, category, title, location, first_seen_at, first_scan_id,
        last_seen_at, last_scan_id, resolved_at, resolved_scan_id, times_reopened)
    SELECT gen_random_uuid(), id_of(n, 900), 'v1:' || md5(n || '.' || i) ||
        md5(i || '.' || n), 'modelaudit', 'modelaudit:S20' || i %% 10, i %% 5,
        'code_execution', 'A dangerous import in a pickle',
        '{"path": "archive/data.pkl", "byte_offset": 17}', time_of(n), id_of(n, 1),
        over, CASE WHEN over IS NULL THEN NULL ELSE id_of(n, 1) END, over, NULL, 0
    FROM generate_series(1, %(targets)s) AS n, generate_series(1, %(each)s) AS i,
        LATERAL (SELECT CASE i %% 2 WHEN 0 THEN time_of(n) END AS over) AS half""",
]


def main() -> None:
    """Measure in a process of its own, whose settings name the throwaway database."""
    with stocked() as stock:
        url = stock.filled("histories", scans=SCANS, each=EACH).url
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in FILL:
                sizes = {"targets": TARGETS, "each": REMEMBERED}
                psycopg.ClientCursor(connection).execute(statement, sizes)
            connection.execute("VACUUM ANALYZE")
        environment = {
            "DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "sentrascan_project.settings",
            "SENTRASCAN_DATA_DIR": str(stock.directory / "data"),
        }
        words = [sys.executable, "-m", "benchmarks.histories", "measure"]
        subprocess.run(words, cwd=PROJECT, env=os.environ | environment, check=True)


def measure() -> None:
    from scans.models import TargetFinding

    for size in SIZES:
        told: dict[str, list[tuple[float, float]]] = {}
        for number in range(ROUNDS):
            for name, taken in life(f"{size}-{number}", size).items():
                told.setdefault(name, []).append(taken)
        for name, pairs in told.items():
            inserted, remembered = (
                statistics.median(each) for each in zip(*pairs, strict=True)
            )
            print(
                f"{size:6} findings, {name:13} insert {inserted * 1000:7.1f} ms, "
                f"remember {remembered * 1000:7.1f} ms, "
                f"ratio {remembered / inserted:4.2f}",
                flush=True,
            )
    print(f"{TargetFinding.objects.count()} remembered findings")
    reads()


def life(name: str, size: int) -> dict[str, tuple[float, float]]:
    """Return what inserting and what remembering took, in three scans of a target."""
    from scans.models import Target

    target = Target.objects.create(scan_type="model", name=name)
    changed = size // 10
    return {
        "first scan": told(target, range(size)),
        "the same": told(target, range(size)),
        "a tenth moved": told(target, range(changed, size + changed)),
    }


def told(target: Any, numbers: range) -> tuple[float, float]:
    from django.db import transaction

    from scans.histories import remember
    from scans.models import Finding, Scan
    from scans.recurrence import Look

    scan = Scan.objects.create(
        scan_type="model",
        target=target.name,
        target_record=target,
        scan_status="completed",
        verdict="fail",
        policy_name="default",
    )
    rows = [
        Finding(
            scan=scan,
            scanner="modelaudit",
            rule="modelaudit:S201",
            severity=3,
            category="code_execution",
            title="A dangerous import in a pickle",
            location={"path": f"archive/data-{number}.pkl"},
            fingerprint=f"v1:{number:064x}",
        )
        for number in numbers
    ]
    where = Look(certain=frozenset({"modelaudit"}))
    with transaction.atomic():
        started = time.perf_counter()
        Finding.objects.insert_many(rows)
        inserted = time.perf_counter()
        remember(scan, rows, where)
        remembered = time.perf_counter()
    return inserted - started, remembered - inserted


def reads() -> None:
    """Print what the pages of 50 cost that show it."""
    from scans.exports import target_shapes as shapes
    from scans.models import Target

    some = Target.objects.get(name="target-500").pk
    ways: dict[str, Callable[[], object]] = {
        "/targets": lambda: shapes.with_newest(
            [shapes.target_shape(row) for row in shapes.TARGETS[:51]]
        ),
        "/targets/{id}": lambda: shapes.read_target(some),
        "/targets/{id}/history": lambda: list(shapes.history(some)[:51]),
        "/targets/{id}/findings": lambda: list(shapes.findings_of_target(some)[:51]),
    }
    for name, way in ways.items():
        print(f"{name:24} {statistics.median(map(timed, [way] * 9)) * 1000:6.1f} ms")


def timed(way: Callable[[], object]) -> float:
    started = time.perf_counter()
    way()
    return time.perf_counter() - started


if __name__ == "__main__":
    if sys.argv[1:] == ["measure"]:
        django.setup()
        measure()
    else:
        main()
