"""Which scanner saw what: elements with findings beside the scanners that ran."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Max, QuerySet, TextField, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Coalesce

from scanners.contract import TargetKind
from scans.choices import RunStatus
from scans.drift.elements import label
from scans.exports.shapes import SEVERITY_NAMES, Row
from scans.models import Finding, ScannerRun

SHOWN = 40
NOTHING, NOT_LOOKED_AT, UNKNOWN = "nothing", "not looked at", "not known"


@dataclass(frozen=True, slots=True)
class Cell:
    """What one scanner found in one element; without findings `word` says why."""

    scanner: str
    word: str = ""
    worst: str = ""
    count: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    path: str
    label: str
    cells: list[Cell]


@dataclass(frozen=True, slots=True)
class Matrix:
    scanners: list[str]
    lines: list[Line]
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class _Turn:
    """What one run says of elements in which it found nothing."""

    scanner: str
    has_answered: bool
    passed_over: frozenset[str] = field(default_factory=frozenset)
    is_telling: bool = True

    def word(self, path: str) -> str:
        if not self.has_answered or path in self.passed_over:
            return NOT_LOOKED_AT
        return NOTHING if self.is_telling else UNKNOWN


def matrix_of(scan: Row) -> Matrix | None:
    """Return the elements with the gravest findings; None where nothing compares."""
    if len(scan["runs"]) < 2 or not scan["total_findings"]:
        return None
    names = [run["scanner"] for run in scan["runs"]]
    rows = _by_element(scan["scan_id"], names)
    elements = list(
        rows.values_list("element", flat=True).order_by("-worst", "-total", "element")[
            : SHOWN + 1
        ]
    )
    if not elements:
        return None
    shown = elements[:SHOWN]
    cells = rows.filter(element__in=shown).values(
        "element", "scanner", "worst", "total"
    )
    found = {(row["element"], row["scanner"]): row for row in cells}
    turns = list(_turns(scan))
    is_mcp = scan["scan_type"] == TargetKind.MCP
    lines = [
        Line(
            path,
            label(path, is_mcp=is_mcp) if path else "The whole target",
            [_cell(turn, path, found.get((path, turn.scanner))) for turn in turns],
        )
        for path in shown
    ]
    return Matrix(names, lines, has_more=len(elements) > SHOWN)


def _by_element(scan_id: uuid.UUID, names: list[str]) -> QuerySet[Any, Row]:
    """Return findings by where they are, and by what else is asked of the rows."""
    own = Finding.objects.filter(scan_id=scan_id, scanner__in=names).order_by()
    nowhere = Value("", TextField())
    place: dict[str, Any] = {"element": Coalesce(KT("location__path"), nowhere)}
    told: dict[str, Any] = {"worst": Max("severity"), "total": Count("pk")}
    groups: QuerySet[Any, Row] = own.annotate(**place).values(*place).annotate(**told)
    return groups


def _turns(scan: Row) -> Iterator[_Turn]:
    rows = ScannerRun.objects.filter(scan_id=scan["scan_id"])
    left = dict(rows.order_by().values_list("scanner", "coverage__left"))
    for run in scan["runs"]:
        seen, others = run["coverage"], left.get(run["scanner"])
        skipped = {skip["path"] for skip in seen["skipped"]}
        # Runs of earlier releases do not say what they left to others.
        counted = seen["files_scanned"] + seen["files_inert"]
        yield _Turn(
            run["scanner"],
            has_answered=run["status"] == RunStatus.COMPLETED,
            passed_over=frozenset(skipped.union(others or ())),
            is_telling=others is not None or counted >= seen["files_total"],
        )


def _cell(turn: _Turn, path: str, row: Row | None) -> Cell:
    if row is None:
        return Cell(turn.scanner, word=turn.word(path))
    return Cell(turn.scanner, worst=SEVERITY_NAMES[row["worst"]], count=row["total"])
