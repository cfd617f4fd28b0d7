"""What becomes of a finding when it is not found: the rule, without a database."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from scanners.contract import Coverage, Element, Report, Skipped, Target, TargetKind
from scans.choices import RunStatus
from scans.coverage import Outcome
from scans.recurrence import Look, PastFinding, look, recurrence

A, B = "modelaudit", "sentrascan-mcp"


def past(path: str = "a.bin", **more: Any) -> PastFinding:
    values = {"fingerprint": "v1:x", "scanner": A, "path": path, "server": ""} | more
    return PastFinding(key=uuid.uuid4(), **values)


def outcome(scanner: str, *scanned: str, failed: Any = (), **more: Any) -> Outcome:
    coverage = Coverage(scanned=frozenset(scanned), failed=tuple(failed))
    report = Report((), coverage)
    return Outcome(scanner, RunStatus.COMPLETED, **{"report": report} | more)


def target(
    *paths: str, gaps: tuple[str, ...] = (), sizes: Any = None, is_mcp: bool = False
) -> Target:
    return Target(
        TargetKind.MCP if is_mcp else TargetKind.MODEL,
        Path(),
        tuple(Element(path, (sizes or {}).get(path, 1)) for path in paths),
        "",
        tuple(Skipped(path, "why") for path in gaps),
    )


def is_resolved(finding: PastFinding, where: Look) -> bool:
    moved = recurrence([finding], {}, where)
    assert not moved.new
    assert bool(moved.resolved) != bool(moved.unconfirmed)
    return bool(moved.resolved)


CASES = [
    ("the file was examined", True, past(), target("a.bin"), [outcome(A, "a.bin")]),
    ("the file is gone", True, past("old.bin"), target("a.bin"), [outcome(A, "a.bin")]),
    (
        *("another scanner reads it now", True, past()),
        *(target("a.bin", "b"), [outcome(A, "b"), outcome(B, "a.bin")]),
    ),
    (
        *("the scanner failed on it", False, past(), target("a.bin")),
        [outcome(A, failed=[Skipped("a.bin", "broken")]), outcome(B, "a.bin")],
    ),
    (
        *("nobody opens its format", False, past(), target("a.bin", "b")),
        [outcome(A, "b")],
    ),
    (
        *("the scanner gave no answer", False, past(), target("a.bin")),
        [outcome(B, "a.bin"), Outcome(A, RunStatus.TIMED_OUT)],
    ),
    ("the scanner had no turn", False, past(), target("a.bin"), [outcome(B, "a.bin")]),
    (
        *("an archive was not opened", False, past("in/a.bin")),
        *(target("all.zip", gaps=("all.zip",)), [outcome(A, "all.zip")]),
    ),
    (
        *("an empty file hides nothing", True, past("old.bin")),
        target("a.bin", "e", gaps=("e",), sizes={"e": 0}),
        [outcome(A, "a.bin")],
    ),
    ("there was nothing at all", False, past(), target(), [outcome(A)]),
    (
        *("a server's own settings were read", True, past("servers/s", server="s")),
        target("servers/s", gaps=("servers/s",), is_mcp=True),
        [outcome(A, "servers/s")],
    ),
    (
        *("its server was not listed", False, past("tools/t", server="s")),
        target("servers/s", gaps=("servers/s",), is_mcp=True),
        [outcome(A, "servers/s")],
    ),
    (
        *("another server was not listed", True, past("tools/t", server="other")),
        target("servers/s", "servers/other", gaps=("servers/s",), is_mcp=True),
        [outcome(A, "servers/s", "servers/other")],
    ),
    (
        *("nobody knows whose it was", False, past("tools/t")),
        target("servers/s", gaps=("servers/s",), is_mcp=True),
        [outcome(A, "servers/s")],
    ),
    (
        *("it is of the whole target", True, past("")),
        *(target("a.bin"), [outcome(A, "a.bin")]),
    ),
]


@pytest.mark.parametrize(
    ("over", "finding", "scanned", "outcomes"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_it_is_resolved_where_somebody_looked(
    over: bool, finding: PastFinding, scanned: Target, outcomes: list[Outcome]
) -> None:
    assert is_resolved(finding, look(scanned, outcomes, frozenset())) is over


def test_a_scanner_may_speak_for_everything() -> None:
    where = look(target("a.bin"), [], frozenset({A}))
    assert is_resolved(past("anything"), where)
    assert not is_resolved(past("anything", scanner=B), where)


def test_each_finding_goes_its_way() -> None:
    where = look(target("a.bin"), [outcome(A, "a.bin")], frozenset())
    same = past(fingerprint="same")
    back = past(fingerprint="back", is_resolved=True)
    seen = past(fingerprint="seen", is_unconfirmed=True)
    gone = past(fingerprint="gone")
    dark = past(fingerprint="dark", scanner=B)
    still_dark = past(fingerprint="still", scanner=B, is_unconfirmed=True)
    over = past(fingerprint="over", is_resolved=True)
    graver = past(fingerprint="graver", words=(1, "x"))
    known = [same, back, seen, gone, dark, still_dark, over, graver]
    found = dict.fromkeys(["same", "back", "seen", "new"]) | {"graver": (4, "x")}
    moved = recurrence(known, found, where)
    assert moved.new == {"new"}
    assert moved.reopened == (back.key,)
    assert moved.confirmed == (seen.key,)
    assert moved.resolved == (gone.key,)
    assert moved.unconfirmed == (dark.key,)
    assert moved.reworded == (graver.key,)
