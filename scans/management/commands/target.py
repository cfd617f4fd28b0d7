"""`target list|show`: what is scanned under one name, its verdicts, its findings."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandError, CommandParser

from apikeys.management.command import SentraCommand, UsageError, whole_number
from apikeys.management.tables import table
from scanners.contract import TargetKind
from scans.management import servers
from scans.management.doors import Document, Rejected
from scans.management.quiet import hush_logs
from scans.management.reporting import MARKS, moment_of, plain

MOST_TARGETS, MOST_FINDINGS = 500, 200
STRIP = 20
HEADINGS = ("VERDICT", "TYPE", "SCANNED", "FINDINGS", "NEW", "RESOLVED", "TARGET")
STEPS = ("SCANNED", "VERDICT", "FINDINGS", "NEW", "RESOLVED", "BACK", "SCAN")
FINDINGS = ("SEVERITY", "SINCE", "LAST SEEN", "STATE", "RULE", "WHAT")


class Command(SentraCommand):
    help = (
        "Show what is scanned under one name: verdicts and findings over time. Exit "
        "code: 0 shown, 2 there is no such target, 3 wrong usage, 4 server unreachable."
    )
    # Those of a server need neither our database nor our scanners.
    requires_system_checks = []

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
        for each in verbs.choices.values():
            servers.add_arguments(each)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        hush_logs(options["verbosity"])
        asked = (options["server"], options["api_key"])
        with servers.targets_of(*asked) as self.door:
            {"list": self.list_all, "show": self.show}[verb](options)

    def list_all(self, options: dict[str, Any]) -> None:
        asked = {name: options[name] for name in ("scan_type", "q")}
        filters = {name: it for name, it in asked.items() if it}
        if options["is_json"]:
            self._print_json(self.door.list_all(filters, None))
            return
        found = self.door.list_all(filters, MOST_TARGETS + 1)
        if not found:
            self.stdout.write("There is no such target.")
            return
        self._print(table([HEADINGS, *map(_target_cells, found[:MOST_TARGETS])]))
        if len(found) > MOST_TARGETS:
            self.stdout.write("... and more; --json has them all, --q and --type fewer")

    def show(self, options: dict[str, Any]) -> None:
        target = self._found(options["target"], options["scan_type"])
        target_id = target["target_id"]
        steps = self.door.history(target_id, options["last"])
        is_open = not options["resolved"]
        most = None if options["is_json"] else MOST_FINDINGS + 1
        findings = self.door.findings(target_id, is_open=is_open, most=most)
        if options["is_json"]:
            told = {"target": target, "history": steps, "findings": findings}
            self._print_json(told)
        else:
            self._print(_described(target, steps, findings))

    def _found(self, text: str, scan_type: str | None) -> Document:
        """Return the one target that is meant, by its name or its id."""
        named = self.door.list_all({"name": text}, None)
        known = {row["target_id"] for row in named}
        with contextlib.suppress(ValueError):  # a name then
            known.add(str(uuid.UUID(text)))
        found = [target for each in sorted(known) if (target := self._read(each))]
        if scan_type:
            found = [each for each in found if each["scan_type"] == scan_type]
        if not found:
            raise CommandError("There is no such target; see `target list`.")
        if len(found) > 1:
            raise UsageError(f"{plain(text)} is a model and an MCP server: say --type")
        return found[0]

    def _read(self, target_id: str) -> Document | None:
        try:
            return self.door.show(target_id)
        except Rejected as error:
            if error.is_absent:
                return None
            raise

    def _print_json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, indent=2))

    def _print(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.stdout.write(line)


def _target_cells(row: Document) -> tuple[str, ...]:
    scan = row["newest_scan"]
    if scan is None:
        return ("-", row["scan_type"], "-", "-", "-", "-", plain(row["name"]))
    return (
        scan["verdict"],
        row["scan_type"],
        moment_of(scan["created_at"]),
        str(scan["total_findings"]),
        str(scan["new_findings"]),
        str(scan["resolved_findings"]),
        plain(row["name"]),
    )


def _described(
    target: Document, steps: list[Document], findings: list[Document]
) -> list[str]:
    counts, baseline = target["findings"], target["baseline"]
    lines = [f"{plain(target['name'])} ({target['scan_type']}), {target['target_id']}"]
    if baseline:
        at = moment_of(baseline["approved_at"])
        by = f"approved by {plain(baseline['approved_by'])} at {at}"
        lines.append(f"  baseline  {plain(baseline['name'])}, {by}")
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


def _step_cells(step: Document) -> tuple[str, ...]:
    return (
        moment_of(step["created_at"]),
        step["verdict"],
        str(step["total_findings"]),
        str(step["new_findings"]),
        str(step["resolved_findings"]),
        str(step["reopened_findings"]),
        step["scan_id"],
    )


def _finding_cells(row: Document) -> tuple[str, ...]:
    words = [row["state"]]
    words += ["new"] if row["is_new"] else []
    words += ["reopened"] if row["times_reopened"] else []
    words += [] if row["is_confirmed"] else ["unconfirmed"]
    words += ["waived"] if row["waived"] else []
    return (
        row["severity"],
        moment_of(row["first_seen_at"]),
        moment_of(row["last_seen_at"]),
        ", ".join(words),
        plain(row["rule"]),
        plain(row["title"]),
    )
