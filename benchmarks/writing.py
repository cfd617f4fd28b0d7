"""What storing 10,000 findings costs beside a bare COPY of the same rows.

Both write in a transaction of their own into the same table with the same indexes,
emptied before; the bare COPY sends bytes that were made before. They take turns; the
ratio of medians is the figure. At most 3.
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

from benchmarks.installation import PROJECT
from benchmarks.rows import stocked

COUNT = 10_000
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
FORMAT = "(FORMAT BINARY)"


def main() -> None:
    """Measure in a process of its own, whose settings name the throwaway database."""
    with stocked() as stock:
        environment = {
            "DATABASE_URL": stock.filled("writing", scans=1, each=0).url,
            "DJANGO_SETTINGS_MODULE": "sentrascan_project.settings",
            "SENTRASCAN_DATA_DIR": str(stock.directory / "data"),
        }
        words = [sys.executable, "-m", "benchmarks.writing", "measure"]
        subprocess.run(words, cwd=PROJECT, env=os.environ | environment, check=True)


def measure() -> None:
    from scans.models import Finding

    Finding.objects.insert_many(findings())
    same = copied_out()
    ways: dict[str, Callable[[list[Any]], object]] = {
        "insert_many": Finding.objects.insert_many,
        "bulk_create": lambda rows: Finding.objects.bulk_create(rows, batch_size=1000),
        "bare COPY": lambda rows: copy_in(same),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(ROUNDS + 1):
        for name, way in ways.items():
            taken = timed(way)
            if number:
                seconds[name].append(taken)
    report({name: statistics.median(each) for name, each in seconds.items()})


def findings() -> list[Any]:
    from scanners.contract import Category, Severity
    from scans.models import Finding, Scan

    scan = Scan.objects.get()
    return [
        Finding(
            scan=scan,
            scanner="modelaudit",
            rule=f"modelaudit:S20{number % 10}",
            severity=Severity.HIGH,
            category=Category.CODE_EXECUTION,
            title="A dangerous import in a pickle",
            description="The pickle imports os.system and calls it when it is loaded.",
            location={"path": f"archive/data-{number}.pkl", "byte_offset": number},
            evidence={"import": "os.system", "opcode": "REDUCE"},
            remediation="Do not load this file.",
            taxonomy={"cwe": ["CWE-502"], "owasp_llm": ["LLM03"]},
            fingerprint=f"v1:{number:064x}",
        )
        for number in range(COUNT)
    ]


def timed(way: Callable[[list[Any]], object]) -> float:
    from django.db import connection, transaction

    rows = findings()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE findings")
    started = time.perf_counter()
    with transaction.atomic():
        way(rows)
    return time.perf_counter() - started


def copied_out() -> list[bytes]:
    from django.db import connection

    statement = f"COPY findings TO STDOUT {FORMAT}"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        return [bytes(block) for block in copy]


def copy_in(blocks: list[bytes]) -> None:
    from django.db import connection

    statement = f"COPY findings FROM STDIN {FORMAT}"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(b"".join(blocks))


def report(medians: dict[str, float]) -> None:
    bare = medians["bare COPY"]
    for name, each in medians.items():
        bound = " (at most 3)" if name == "insert_many" else ""
        print(
            f"{COUNT} findings by {name:12} {each * 1000:6.0f} ms   "
            f"ratio to a bare COPY {each / bare:5.2f}{bound}",
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1:] == ["measure"]:
        django.setup()
        measure()
    else:
        main()
