"""What our MCP engine finds and how fast: `python -m benchmarks.mcp_engine`.

An alarm is a finding that fails the default policy. Recall is the share of malicious
documents with an alarm, by family; beside each rule stands in how many malicious and
benign documents it matched. Intervals are Wilson's, 95 %. The held-out half is only
ever counted: nobody looks at what was missed there. At most 5 s for 10,000 tools.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scanners.catalogue import rules_of
from scanners.contract import Category, Rule, Severity
from scanners.mcp_rules.command import load, report_on
from scanners.mcp_rules.command import main as scan
from scanners.mcp_rules.texts import texts_of
from tests.scanners.mcp_corpus import HALVES, Case, cases

TOOLS = 10_000
BOUND = 5.0
BLOCKED = (
    Category.CODE_EXECUTION,
    Category.TOOL_POISONING,
    Category.SECRET_EXPOSURE,
)
Z = 1.96


def main() -> None:
    for half in HALVES:
        _quality(half)
    _speed()


def rules_in(document: Mapping[str, Any]) -> set[str]:
    """Return the rules that match in `document`."""
    report = report_on(document)
    return {entry["rule"] for part in report.values() for entry in part}


def is_alarm(rule: Rule) -> bool:
    """Whether the default policy fails a scan for this rule alone."""
    return rule.severity >= Severity.HIGH or rule.category in BLOCKED


def alarmed(found: Iterable[str]) -> bool:
    """Whether one of the rules `found` is an alarm."""
    known = rules_of("sentrascan-mcp")
    return any(is_alarm(known[code]) for code in found)


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a share."""
    if not of:
        return 0.0, 1.0
    share, square = hits / of, Z * Z
    middle = share + square / (2 * of)
    spread = Z * math.sqrt(share * (1 - share) / of + square / (4 * of * of))
    below = 1 + square / of
    return max(0.0, (middle - spread) / below), min(1.0, (middle + spread) / below)


def counted(half: str, kind: str) -> list[tuple[Case, set[str]]]:
    """Return the cases of one kind with the rules that match in them."""
    return [(case, rules_in(case.document)) for case in cases(half, kind)]


def _quality(half: str) -> None:
    found = {kind: counted(half, kind) for kind in ("malicious", "benign")}
    for kind, name in (("malicious", "recall"), ("benign", "false alarms")):
        totals: Counter[str] = Counter(case.family for case, _ in found[kind])
        hits: Counter[str] = Counter(
            case.family for case, rules in found[kind] if alarmed(rules)
        )
        for family, of in (*totals.items(), ("all", totals.total())):
            count = hits.total() if family == "all" else hits[family]
            print(f"{half:12} {name:12} {family:24} {_share(count, of)}", flush=True)
    bad, good = (
        Counter(rule for _, rules in found[kind] for rule in rules)
        for kind in ("malicious", "benign")
    )
    for code, rule in rules_of("sentrascan-mcp").items():
        if of := bad[code] + good[code]:
            level = rule.severity.name.lower()
            precision = _share(bad[code], of)
            print(f"{half:12} precision    {code:20} {level:8} {precision}", flush=True)


def _share(hits: int, of: int) -> str:
    low, high = wilson(hits, of)
    share = hits / of if of else 0.0
    return f"{hits:4} of {of:4}  {share:6.1%}  ({low:.1%} to {high:.1%})"


def _speed() -> None:
    document = {"tools": many_tools(TOOLS), "config": None, "instructions": None}
    with TemporaryDirectory() as folder:
        files = [str(Path(folder, name)) for name in ("document.json", "report.json")]
        Path(files[0]).write_text(json.dumps(document), "utf-8")
        taken = _processor(files)
    length = sum(len(text.value) for text in texts_of(document)) // TOOLS
    print(f"{TOOLS} tools of {length} characters in {taken:.2f} s of one core", end="")
    print(f" (at most {BOUND:.0f})")


def _processor(files: list[str]) -> float:
    """Return the seconds of a processor that a scan takes, from start to report.

    Like a host of scans, this process loads words and weights once, and forks.
    """
    load()
    child = os.fork()
    if child == 0:
        sys.argv[1:] = files
        os._exit(scan())
    _, status, used = os.wait4(child, 0)
    if status:
        sys.exit(f"the engine ended with status {status}")
    return used.ru_utime + used.ru_stime


def many_tools(count: int) -> list[dict[str, Any]]:
    """Return tools as long as those of the benign half, no two texts the same."""
    kinds = [tool for case in cases("development", "benign")
             for tool in case.document["tools"]]  # fmt: skip
    return [
        {
            **kinds[number % len(kinds)],
            "name": f"{kinds[number % len(kinds)]['name']}_{number}",
            "description": f"{kinds[number % len(kinds)]['description']} ({number})",
        }
        for number in range(count)
    ]


if __name__ == "__main__":
    main()
