"""`target list|show`: what is scanned under one name, its verdicts, its findings."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Q

from apikeys.management.command import SentraCommand, UsageError, whole_number
from apikeys.management.tables import moment, table
from scanners.contract import TargetKind
from scans.exports.shapes import Row
from scans.exports.target_shapes import (
    TARGETS,
    findings_of_target,
    history,
    memory_shape,
    read_target,
    step_shape,
    target_shape,
    with_newest,
)
from scans.management.reporting import MARKS, plain
from scans.models import Target

MOST_TARGETS, MOST_FINDINGS = 500, 200
STRIP = 20
HEADINGS = ("VERDICT", "TYPE", "SCANNED", "FINDINGS", "NEW", "RESOLVED", "TARGET")
STEPS = ("SCANNED", "VERDICT", "FINDINGS", "NEW", "RESOLVED", "BACK", "SCAN")
FINDINGS = ("SEVERITY", "SINCE", "LAST SEEN", "STATE", "RULE", "WHAT")


class Command(SentraCommand):
    help = "Show what is scanned under one name: verdicts and findings over time."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        listed = verbs.add_parser("list", help="all targets, the last scanned first")
        listed.add_argument("--type", choices=TargetKind.values, dest="scan_type")
        listed.add_argument("--q", metavar="TEXT", help="part of the name, in any case")
        listed.add_argument("--json", action="store_true", dest="is_json")
        show = verbs.add_parser("show", help="one target with its history and findings")
        show.add_argument("target", metavar="NAME|ID")
        show.add_argument("--type", choices=TargetKind.values, dest="scan_type")
        show.add_argument(
            "--last",
            type=whole_number(1, 500),
            default=STRIP,
            metavar="N",
            help=f"how many scans back (default: {STRIP})",
        )
        show.add_argument(
            "--resolved", action="store_true", help="also findings that are resolved"
        )
        show.add_argument("--json", action="store_true", dest="is_json")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        {"list": self.list_all, "show": self.show}[verb](options)

    def list_all(self, options: dict[str, Any]) -> None:
        rows = TARGETS
        if options["scan_type"]:
            rows = rows.filter(scan_type=options["scan_type"])
        if options["q"]:
            rows = rows.filter(name__icontains=options["q"])
        if options["is_json"]:
            self._print_json(with_newest([target_shape(row) for row in rows]))
            return
        found = with_newest([target_shape(row) for row in rows[: MOST_TARGETS + 1]])
        if not found:
            self.stdout.write("There is no such target.")
            return
        self._print(table([HEADINGS, *map(_target_cells, found[:MOST_TARGETS])]))
        if len(found) > MOST_TARGETS:
            self.stdout.write("... and more; --json has them all, --q and --type fewer")

    def show(self, options: dict[str, Any]) -> None:
        target_id = _found(options["target"], options["scan_type"])
        target = read_target(target_id)
        if target is None:
            raise CommandError("The target has been deleted meanwhile.")
        steps = [step_shape(row) for row in history(target_id)[: options["last"]]]
        findings = findings_of_target(target_id)
        if not options["resolved"]:
            findings = findings.filter(resolved_at=None)
        if options["is_json"]:
            shaped = [memory_shape(row) for row in findings]
            self._print_json({"target": target, "history": steps, "findings": shaped})
            return
        shown = [memory_shape(row) for row in findings[: MOST_FINDINGS + 1]]
        self._print(_described(target, steps, shown))

    def _print_json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, cls=DjangoJSONEncoder, indent=2))

    def _print(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.stdout.write(line)


def _found(text: str, scan_type: str | None) -> uuid.UUID:
    """Return the id of the one target that is meant."""
    known = Q(name=text)
    with contextlib.suppress(ValueError):  # a name then
        known |= Q(pk=uuid.UUID(text))
    rows = Target.objects.filter(known)
    if scan_type:
        rows = rows.filter(scan_type=scan_type)
    keys = list(rows.order_by("scan_type").values_list("pk", flat=True)[:3])
    if not keys:
        raise CommandError("There is no such target; see `target list`.")
    if len(keys) > 1:
        raise UsageError(f"{plain(text)} is a model and an MCP server: say --type")
    return keys[0]


def _target_cells(row: Row) -> tuple[str, ...]:
    scan = row["newest_scan"]
    if scan is None:
        return ("-", row["scan_type"], "-", "-", "-", "-", plain(row["name"]))
    return (
        scan["verdict"],
        row["scan_type"],
        moment(scan["created_at"]),
        str(scan["total_findings"]),
        str(scan["new_findings"]),
        str(scan["resolved_findings"]),
        plain(row["name"]),
    )


def _described(target: Row, steps: list[Row], findings: list[Row]) -> list[str]:
    counts, baseline = target["findings"], target["baseline"]
    lines = [f"{plain(target['name'])} ({target['scan_type']}), {target['target_id']}"]
    if baseline:
        by = f"by {plain(baseline['approved_by'])} at {moment(baseline['approved_at'])}"
        lines.append(f"  baseline  {plain(baseline['name'])}, approved {by}")
    else:
        lines.append("  baseline  none is approved")
    worst = [f"{n} {name}" for name, n in counts["open_by_severity"].items() if n]
    told = [f"{counts[name]} {name}" for name in ("new", "reopened", "unconfirmed")]
    lines += [
        f"  open      {counts['open']} findings ({', '.join(reversed(worst)) or '-'})",
        f"  of these  {', '.join(told)}",
        f"  resolved  {counts['resolved']}",
    ]
    if steps:
        # Oldest first, as one reads.
        strip = "".join(MARKS[step["verdict"]].strip() for step in reversed(steps))
        lines += [f"  verdicts  {strip}", "", *table([STEPS, *map(_step_cells, steps)])]
    if findings:
        rows = map(_finding_cells, findings[:MOST_FINDINGS])
        lines += ["", *table([FINDINGS, *rows])]
    if len(findings) > MOST_FINDINGS:
        lines.append("... and more; --json has them all")
    return lines


def _step_cells(step: Row) -> tuple[str, ...]:
    return (
        moment(step["created_at"]),
        step["verdict"],
        str(step["total_findings"]),
        str(step["new_findings"]),
        str(step["resolved_findings"]),
        str(step["reopened_findings"]),
        str(step["scan_id"]),
    )


def _finding_cells(row: Row) -> tuple[str, ...]:
    words = [row["state"]]
    words += ["new"] if row["is_new"] else []
    words += ["reopened"] if row["times_reopened"] else []
    words += [] if row["is_confirmed"] else ["unconfirmed"]
    words += ["waived"] if row["waived"] else []
    return (
        row["severity"],
        moment(row["first_seen_at"]),
        moment(row["last_seen_at"]),
        ", ".join(words),
        plain(row["rule"]),
        plain(row["title"]),
    )
