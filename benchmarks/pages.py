"""What each page of the console costs among 1,000,000 scans and 10,000,000 findings.

Asked of the application itself, as an administrator, with its whole middleware and
templates and without a web server before it: how many queries, the time of the first
look, the best, median and worst of the looks after it, and what Python and the database
took of a processor for one, which holds on a busy machine too. Every page is to take at
most 12 queries and 300 ms.

BENCH_SCANS sets another size; BENCH_LOOKS how often each page is looked at. Names of
pages as arguments: only those. `python -m benchmarks.pages hold` fills, says where, and
keeps it until it gets SIGINT or SIGTERM; with `BENCH_HELD` naming that database, it is
looked at again without filling, after the migrations that came since.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
import psycopg

from benchmarks.installation import PROJECT
from benchmarks.page_rows import fill_pages
from benchmarks.rows import migrate, stocked

SCANS, EACH = int(os.environ.get("BENCH_SCANS", "1000000")), 10
LOOKS = int(os.environ.get("BENCH_LOOKS", "9"))
QUERIES, MILLISECONDS = 12, 300
PLACES = {
    "overview": "/",
    "overview, 90 days": "/?days=90",
    "overview, what runs": "/running",
    "scans": "/scans",
    "scans, failed": "/scans?verdict=fail",
    "scans, with a critical finding": "/scans?severity=critical",
    "scans of one target": "/scans?target=models/team-0/weights-0.bin",
    "scans, looked for": "/scans?q=weights-4711",
    "new scan": "/scans/new",
    "scan of 10 findings": "/scans/{scan}",
    "scan of 50,000 findings": "/scans/{big}",
    "scan of 50,000, one severity": "/scans/{big}?severity=critical",
    "scan of 50,000, one rule": "/scans/{big}?rule=sentrascan-mcp:R3",
    "scan of 50,000, looked for": "/scans/{big}?q=tool_9999",
    "scan of 50,000, coverage": "/scans/{big}/coverage",
    "scan, running": "/scans/{running}",
    "targets": "/targets",
    "targets, looked for": "/targets?q=weights-4711",
    "targets without a baseline": "/targets?has_baseline=false",
    "target": "/targets/{target}",
    "target, all its findings": "/targets/{target}?state=any",
    "baseline": "/baselines/{baseline}",
    "findings": "/findings",
    "findings, critical": "/findings?severity=critical",
    "findings of a rule": "/findings?rule=modelaudit:S203",
    "findings of a rare rule": "/findings?rule=modelaudit:S999",
    "findings of a scanner": "/findings?scanner=sentrascan-files",
    "findings of a category": "/findings?category=tool_poisoning",
    "findings, low": "/findings?severity=low",
    "findings of no scanner": "/findings?scanner=nobody",
    "findings, looked for": "/findings?q=dangerous",
    "findings by rule": "/findings/by-rule",
    "findings by target": "/findings/by-target",
    "finding": "/findings/{finding}",
    "waivers": "/waivers",
    "waivers, stale": "/waivers?stale=true",
    "waivers, in force": "/waivers?expired=false",
    "new waiver": "/waivers/new",
    "policies": "/policies",
    "policy": "/policies/policy-7",
    "what if": "/policies/policy-7/edit",
    "keys": "/keys",
    "audit log": "/audit",
    "audit log, one action": "/audit?action=waiver.create",
    "health": "/health",
    "password": "/password",
}
WHAT_IF = {"text": "severity_threshold: critical", "version": "20", "ask": "yes"}


def main() -> None:
    """Measure in a process of its own, whose settings name the throwaway database."""
    if held := os.environ.get("BENCH_HELD"):
        url, redis_url, data = held.split()
        migrate(url, Path(data))
        measure_in(url, redis_url, data)
        return
    with stocked() as stock:
        url = stock.made("pages")
        with psycopg.connect(url, autocommit=True) as connection:
            fill_pages(connection, scans=SCANS, each=EACH)
        data = str(stock.directory / "data")
        if sys.argv[1:] == ["hold"]:
            print(f"BENCH_HELD='{url} {stock.redis_url} {data}'", flush=True)
            ends = {signal.SIGINT, signal.SIGTERM}
            signal.pthread_sigmask(signal.SIG_BLOCK, ends)
            signal.sigwait(ends)
        else:
            measure_in(url, stock.redis_url, data)


def measure_in(url: str, redis_url: str, data: str) -> None:
    environment = {
        "DATABASE_URL": url,
        "CELERY_BROKER_URL": redis_url,
        "DJANGO_SETTINGS_MODULE": "sentrascan_project.settings",
        "SENTRASCAN_DATA_DIR": data,
        # All that the database works for a page is then in one process, and counted.
        "PGOPTIONS": "-c max_parallel_workers_per_gather=0",
    }
    words = [sys.executable, "-m", "benchmarks.pages", "measure", *sys.argv[1:]]
    subprocess.run(words, cwd=PROJECT, env=os.environ | environment, check=True)


def measure() -> None:
    from django.test import Client

    client = Client(headers={"host": "localhost"})
    client.force_login(administrator())
    count_days()
    keys = those_of_interest()
    chosen = sys.argv[2:] or list(PLACES)
    client.get("/findings")  # what is loaded once is no page's
    times = "first ms  best ms  median ms  worst ms"
    print(f"{'page':31} queries  {times}  python + database  KB")
    for name in chosen:
        path = PLACES[name].format(**keys)
        first, *later = [look(client, name, path) for _ in range(LOOKS + 1)]
        took = sorted(each.milliseconds for each in later)
        median = statistics.median(took)
        python, database = (
            statistics.median(getattr(each, side) for each in later)
            for side in ("python", "database")
        )
        over = first.queries > QUERIES or python + database > MILLISECONDS
        print(
            f"{name:31} {first.queries:7} {first.milliseconds:9.0f} {took[0]:8.0f} "
            f"{median:10.0f} {took[-1]:9.0f} {python:8.0f} + {database:<8.0f} "
            f"{first.kilobytes:4}  first {first.python:.0f} + {first.database:.0f}"
            f"{'  OVER' if over else ''}",
            flush=True,
        )


@dataclass(frozen=True)
class Look:
    """One look at a page; what it took of a processor holds on a busy machine too."""

    queries: int
    milliseconds: float
    python: float
    database: float
    kilobytes: int


def look(client: Any, name: str, path: str) -> Look:
    with counted() as asked:
        started, worked, served = time.perf_counter(), time.process_time(), backend()
        answer = client.post(path, WHAT_IF) if name == "what if" else client.get(path)
        took = time.perf_counter() - started
        python, database = time.process_time() - worked, backend() - served
    if answer.status_code != 200:
        raise RuntimeError(f"{path}: {answer.status_code}")
    spent = (seconds * 1000 for seconds in (took, python, database))
    return Look(len(asked), *spent, len(answer.content) >> 10)


def backend() -> float:
    """Return the processor seconds of this connection's server process so far."""
    from django.db import connection

    connection.ensure_connection()
    process = connection.connection.info.backend_pid
    # Nanoseconds on a processor: the first number (proc(5)).
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9


@contextmanager
def counted() -> Iterator[list[str]]:
    from django.db import connection

    asked: list[str] = []

    def count(execute: Any, sql: str, *rest: Any) -> Any:
        asked.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(count):
        yield asked


def administrator() -> Any:
    from apikeys.choices import Role
    from scans.management.users import create_user

    name = f"bench-{uuid.uuid4().hex[:8]}"
    return create_user(name, Role.ADMIN, uuid.uuid4().hex)


def count_days() -> None:
    """Do what the timed tasks do in the first minute of an installation."""
    from django.utils import timezone

    from scans.models import ScanDay

    ScanDay.objects.renew(timezone.now())


def those_of_interest() -> dict[str, str]:
    """Return what stands for the names in `PLACES`."""
    from scans.models import Baseline, Finding, Scan, Target

    newest = Scan.objects.order_by("-created_at")
    ordinary = newest.filter(total_findings=EACH)[100]
    found = Finding.objects.filter(scan=ordinary)[0]
    big = newest.filter(total_findings__gt=EACH)[0]
    return {
        "scan": str(ordinary.pk),
        "big": str(big.pk),
        "running": str(newest.filter(scan_status="running")[0].pk),
        "target": str(Target.objects.get(pk=big.target_record_id).pk),
        "baseline": str(Baseline.objects.all()[0].pk),
        "finding": str(found.pk),
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        django.setup()
        measure()
    else:
        main()
