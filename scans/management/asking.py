"""`policy what-if`: what another rule book would have said of the stored scans."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandParser, OutputWrapper
from django.utils import timezone

from apikeys.management.command import UsageError
from apikeys.management.tables import table
from scanners.contract import TargetKind
from scans import policies, what_if
from scans.ages import read_age
from scans.choices import Refused
from scans.management.reporting import plain
from scans.what_if import Outcome

HEADINGS = ("NOW", "THEN", "TYPE", "TARGET")


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--file", metavar="F", help="ask with this YAML, - for stdin")
    parser.add_argument("--type", choices=TargetKind.values)
    parser.add_argument(
        "--newer-than", metavar="AGE", help="only scans of the last 30d, 12h or 8w"
    )
    parser.add_argument("--json", action="store_true", dest="is_json")


def ask(document: object, options: dict[str, Any], out: OutputWrapper) -> None:
    """Print what would flip; raise `UsageError` for a document that is no policy."""
    asked: dict[str, Any] = {"scan_type": options["type"] or ""}
    if age := options["newer_than"]:
        try:
            asked["created_after"] = timezone.now() - read_age(age)
        except ValueError as error:
            raise UsageError(f"--newer-than {age}: {error}") from error
    try:
        outcome = what_if.ask(policies.rules_of(document), **asked)
    except Refused as error:
        raise UsageError(error.message) from error
    if options["is_json"]:
        out.write(json.dumps(_document(outcome), indent=2))
        return
    for line in _lines(outcome):
        out.write(line)


def _document(outcome: Outcome) -> dict[str, Any]:
    changes = [
        {
            "scan_id": str(one.scan_id),
            "target": one.target,
            "before": one.before,
            "after": one.after,
        }
        for one in outcome.changes
    ]
    return {"summary": outcome.summary(), "changes": changes}


def _lines(outcome: Outcome) -> list[str]:
    summary = outcome.summary()
    told = f"{summary['changed']} of {summary['scans']} scans would be judged otherwise"
    lines = [told if summary["changed"] else f"{told}: nothing would change"]
    lines += [
        f"  {flip['before']} -> {flip['after']}: {flip['scans']}"
        for flip in summary["flips"]
    ]
    if summary["not_judged"]:
        lines.append(
            f"  not judged again, too little was kept: {summary['not_judged']}"
        )
    if not summary["is_complete"]:
        lines.append("  older scans were not looked at")
    if summary["targets"]:
        rows = [
            (one["before"], one["after"], one["scan_type"], plain(one["target"]))
            for one in summary["targets"]
        ]
        lines += ["", "Targets whose newest scan would flip:"]
        lines += [f"  {line}" for line in table([HEADINGS, *rows])]
    return lines
