"""How near the API's reads are to the machine's limit, and what a million rows cost.

Three figures on a throwaway PostgreSQL, with the web server's own configuration:

- Lists of 50 scans, in requests per second, as a ratio to a bare WSGI and psycopg
  handler that checks the same key and answers the same bytes. At least 0.5.
- The p99 of lists among 1,000,000 scans, as a ratio to that among 10,000. At most 1.5.
- The p95 of verdicts by digest among 1,000,000, at 16 connections. Below 20 ms.

Opponents take turns, so that a noisy machine is noisy for both, and medians of their
bouts are compared. The client and the database share the processors with the server.
`python -m benchmarks.reading verdicts` takes the last one alone, `lists` the others.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import statistics
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from benchmarks.rows import Database, Stock, stocked
from benchmarks.web_load import Load, answer_to, load, served

SECONDS = float(os.environ.get("BENCH_SECONDS", "4"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
CONNECTIONS = 16
PAGE = "/api/v1/scans?limit=50"
FEW, MANY = 10_000, 1_000_000
DEEP_PAGES = 10
DIGESTS = 5_000
PARTS = ("lists", "verdicts")


def main(parts: Collection[str] = PARTS) -> None:
    with stocked() as stock:
        if "lists" in parts:
            against_bare(stock)
        many = stock.filled("many", scans=MANY, each=0)
        if "lists" in parts:
            among_many(stock, stock.filled("few", scans=FEW, each=0), many)
        if "verdicts" in parts:
            verdicts(stock, many)


def against_bare(stock: Stock) -> None:
    database = stock.filled("findings", scans=100_000, each=10)
    with product(stock, database) as ours, bare(database) as limit:
        ports = (ours, limit)
        bodies = {answer_to(port, database.key, PAGE)[1] for port in ports}
        if len(bodies) > 1:
            sys.exit("the bare handler answers other bytes")
        rounds = [
            [load(port, database.key, [PAGE], CONNECTIONS, SECONDS) for port in ports]
            for _ in range(ROUNDS + 1)
        ]
    mine, bound = sides(rounds)
    say(
        f"list of 50 at 100,000 scans, 1,000,000 findings: {rate(mine):.0f} requests/s,"
        f" bare WSGI + psycopg {rate(bound):.0f}",
        f"ratio {rate(mine) / rate(bound):.2f} (at least 0.5); by processor time, "
        f"{cost(mine):.2f} ms against {cost(bound):.2f}: "
        f"{cost(bound) / cost(mine):.2f}",
        rounds,
    )


def among_many(stock: Stock, few: Database, many: Database) -> None:
    """Ask with one connection: in the queue of a full server queries do not show."""
    with product(stock, few) as small, product(stock, many) as large:
        asked = [
            (small, few.key, lists(small, few.key, FEW)),
            (large, many.key, lists(large, many.key, MANY)),
        ]
        rounds = [
            [load(port, key, paths, 1, SECONDS) for port, key, paths in asked]
            for _ in range(ROUNDS + 1)
        ]
    low, high = (percentile(bouts, 99) for bouts in sides(rounds))
    say(
        f"lists at 1,000,000 scans: p99 {high:.1f} ms, at 10,000 {low:.1f} ms",
        f"ratio {high / low:.2f} (at most 1.5)",
        rounds,
    )


def verdicts(stock: Stock, many: Database) -> None:
    picked = random.Random(4).sample(range(1, MANY + 1), DIGESTS)  # noqa: S311 - no secret
    digests = (hashlib.sha256(str(number).encode()).hexdigest() for number in picked)
    paths = [f"/api/v1/verdicts/sha256:{digest}" for digest in digests]
    with product(stock, many) as port:
        rounds = [
            [
                load(port, many.key, paths, number, SECONDS)
                for number in (CONNECTIONS, 1)
            ]
            for _ in range(ROUNDS + 1)
        ]
    full, alone = sides(rounds)
    p95 = percentile(full, 95)
    say(
        f"verdict among 1,000,000 digests: p95 {p95:.1f} ms at {CONNECTIONS} "
        f"connections, {rate(full):.0f} requests/s, {cost(full):.2f} ms of a processor "
        f"each; {percentile(alone, 95):.1f} ms at 1 connection",
        f"ratio to 20 ms {p95 / 20:.2f} (below 1)",
        rounds,
    )


def lists(port: int, key: str, scans: int) -> list[str]:
    """Return what people ask for: each filter, common and rare, and pages anywhere.

    Without `q`, which is a search: its price is that of the names that look alike.
    """
    chance = random.Random(scans)  # noqa: S311 - no secret
    number = chance.randrange(scans // 2, scans)
    filters = [
        "",
        "scan_status=completed",
        "scan_status=failed",
        "scan_type=mcp",
        "verdict=fail",
        "passed=false",
        "severity=critical",
        f"target=models/team-{number % 97}/weights-{number % 5003}.bin",
    ]
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    for _ in range(DEEP_PAGES):
        before = begin + timedelta(seconds=chance.randrange(100, scans))
        where = f"created_before={before:%Y-%m-%dT%H:%M:%SZ}"
        filters += [where, f"cursor={cursor_at(port, key, where)}"]
    return [f"{PAGE}&{each}" for each in filters]


def cursor_at(port: int, key: str, where: str) -> str:
    headers, _ = answer_to(port, key, f"/api/v1/scans?limit=1&{where}")
    found = re.search(r"cursor=([\w-]+)", headers["link"])
    if found is None:
        raise RuntimeError(headers["link"])
    return found.group(1)


@contextmanager
def product(stock: Stock, database: Database) -> Iterator[int]:
    environment = {
        "DATABASE_URL": database.url,
        "CELERY_BROKER_URL": stock.redis_url,
        "SENTRASCAN_DATA_DIR": str(stock.directory / "data"),
        "SENTRASCAN_RATE_LIMIT": "100000000/min",
    }
    application = "sentrascan_project.wsgi:application"
    config = ("--config", "python:sentrascan_project.web")
    with served(application, environment, *config) as port:
        yield port


@contextmanager
def bare(database: Database) -> Iterator[int]:
    application = "benchmarks.bare_handler:application"
    with served(application, {"DATABASE_URL": database.url}) as port:
        yield port


def sides(rounds: Sequence[Sequence[Load]]) -> list[list[Load]]:
    """Return the bouts of each opponent; the first round only warms up."""
    return [list(bouts) for bouts in zip(*rounds[1:], strict=True)]


def rate(bouts: Sequence[Load]) -> float:
    return statistics.median(bout.per_second for bout in bouts)


def cost(bouts: Sequence[Load]) -> float:
    return statistics.median(bout.cost for bout in bouts)


def percentile(bouts: Sequence[Load], which: int) -> float:
    return statistics.median(bout.percentile(which) for bout in bouts)


def say(measured: str, ratio: str, rounds: Sequence[Sequence[Load]]) -> None:
    share = statistics.median(bout.client_share for bouts in rounds for bout in bouts)
    print(f"{measured}   {ratio}   (client {share:.0%} of a processor)", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or PARTS)
