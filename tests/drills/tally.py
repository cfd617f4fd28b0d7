"""What is true when all is over: read from the rows, the disk and the process table."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db.models import Count, Sum

from scans import measures, retention
from scans.models import Scan, Tally, Upload
from scans.models.scans import JUDGED
from tests.drills.client import Client


@dataclass
class Result:
    """The numbers of one drill; `faults` is empty when everything held."""

    seed: int
    seconds: float = 0.0
    injected: dict[str, int] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    answers: dict[int, int] = field(default_factory=dict)
    refused_connections: int = 0
    accepted: int = 0
    unanswered: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)
    attempts: dict[int, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    unfinished: int = 0
    doubled: int = 0
    orphan_processes: list[str] = field(default_factory=list)
    orphan_files: list[str] = field(default_factory=list)
    wrong_answers: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        numbers = {
            "scans lost": self.lost,
            "scans without a verdict": self.unfinished,
            "scans judged twice": self.doubled,
            "orphan processes": len(self.orphan_processes),
            "orphan files": len(self.orphan_files),
            "wrong answers": len(self.wrong_answers),
        }
        return [f"{count} {name}" for name, count in numbers.items() if count]

    def document(self) -> dict[str, object]:
        return asdict(self)


def is_settled() -> bool:
    """Whether nothing waits or runs any more."""
    return not Scan.objects.filter(finished_at=None).exists()


def read(result: Result, client: Client) -> None:
    """Fill in what the client was told, and what the database says of it."""
    accepted = client.accepted
    result.answers = dict(sorted(client.answers.items()))
    result.refused_connections = client.refused_connections
    result.wrong_answers = client.wrong_answers
    rows = {str(pk): row for pk, *row in _rows()}
    result.accepted = len(accepted)
    result.unanswered = len(set(rows) - set(accepted))
    result.lost = len(set(accepted) - set(rows)) + len(accepted) - len(set(accepted))
    result.unfinished = sum(status not in JUDGED for status, *_ in rows.values())
    result.verdicts = dict(Counter(v for _, v, *_ in rows.values() if v))
    result.attempts = dict(sorted(Counter(a for *_, a in rows.values()).items()))
    failed = Scan.objects.filter(scan_status="failed").select_related("detail")
    result.failed = dict(Counter(", ".join(scan.detail.reasons) for scan in failed))
    # Counted in the very transaction that gives a verdict: one more than there are
    # judged scans is a scan that was judged twice.
    counted = Tally.objects.filter(name=measures.VERDICTS)
    judged = sum(status in JUDGED for status, *_ in rows.values())
    total = int(counted.aggregate(all=Sum("value"))["all"] or 0)
    twice = Scan.objects.annotate(n=Count("runs__scanner")).filter(n__gt=5).count()
    result.doubled = abs(total - judged) + twice


def _rows() -> list[tuple[object, ...]]:
    return list(Scan.objects.values_list("pk", "scan_status", "verdict", "attempt"))


def read_files(result: Result) -> None:
    """Name what lies on disk and belongs to nobody, after the clock's own sweep."""
    retention.sweep(grace=timedelta(0))
    known = set(Upload.objects.values_list("sha256", flat=True))
    root = Path(settings.UPLOAD_DIR)
    stored = [path for path in root.glob("??/*") if path.name not in known]
    left = [*stored, *root.glob("incoming/*"), *Path(settings.RUN_DIR).glob("*")]
    result.orphan_files = [str(path.relative_to(settings.DATA_DIR)) for path in left]
    missing = known - {path.name for path in root.glob("??/*")}
    result.orphan_files += [f"row without bytes: {sha256}" for sha256 in missing]
