"""`baseline create|list|show|approve|retire|compare`: the approved state of targets."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandParser

from apikeys.management.command import SentraCommand, UsageError
from apikeys.management.tables import table
from scanners.contract import TargetKind
from scans.choices import BaselineStatus
from scans.management import servers
from scans.management.comparisons import comparison
from scans.management.doors import Document
from scans.management.quiet import hush_logs
from scans.management.reporting import moment_of, plain

MAX_NAME = 200
DIFFERENT = 1
HEADINGS = ("STATE", "TYPE", "TARGET", "CREATED", "APPROVED", "BY", "ID", "NAME")


class Command(SentraCommand):
    help = (
        "Make a baseline of a scan, review, approve, retire and compare baselines. "
        "Exit code: 0 done, 2 it cannot be, 3 wrong usage, 4 server unreachable."
    )
    # Those of a server need neither our database nor our scanners.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        create = verbs.add_parser(
            "create", help="copy what a completed scan saw, and print the copy's id"
        )
        create.add_argument("scan", metavar="SCAN_ID")
        create.add_argument("--name", required=True, metavar="N")
        create.add_argument("--description", default="", metavar="TEXT")
        listed = verbs.add_parser("list", help="show every baseline, newest first")
        listed.add_argument("--type", choices=TargetKind.values, dest="scan_type")
        listed.add_argument("--target", metavar="T", help="the whole name of one")
        listed.add_argument("--status", choices=BaselineStatus.values)
        listed.add_argument("--json", action="store_true", dest="is_json")
        show = verbs.add_parser("show", help="one baseline with its elements")
        show.add_argument("baseline", metavar="ID")
        show.add_argument("--json", action="store_true", dest="is_json")
        texts = {
            "approve": "put a baseline in force; the one before it is retired",
            "retire": "take a baseline out of force",
        }
        for verb, text in texts.items():
            verbs.add_parser(verb, help=text).add_argument("baseline", metavar="ID")
        compare = verbs.add_parser(
            "compare", help="how the right differs from the left"
        )
        compare.add_argument("left", metavar="LEFT_ID")
        compare.add_argument("right", metavar="RIGHT_ID")
        compare.add_argument("--json", action="store_true", dest="is_json")
        compare.add_argument(
            "--exit-code",
            action="store_true",
            help=f"exit {DIFFERENT} where they differ, or could not be compared whole",
        )
        for each in verbs.choices.values():
            servers.add_arguments(each)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        verbs = {
            "create": self.create,
            "list": self.list_all,
            "show": self.show,
            "approve": self.approve,
            "retire": self.retire,
            "compare": self.compare,
        }
        hush_logs(options["verbosity"])
        asked = (options["server"], options["api_key"])
        with servers.baselines_of(*asked) as self.door:
            verbs[verb](options)

    def create(self, options: dict[str, Any]) -> None:
        name = options["name"].strip()
        if not name or len(name) > MAX_NAME or "\x00" in name + options["description"]:
            raise UsageError(f"name: it has 1 to {MAX_NAME} characters")
        made = self.door.create(
            _id(options["scan"]), name=name, description=options["description"]
        )
        self.stdout.write(made["baseline_id"])
        note = f"Proposed for {plain(made['target'])}. Look at it with `baseline "
        note += f"show {made['baseline_id']}`, then `baseline approve` it."
        self.stderr.write(note, lambda text: text)

    def list_all(self, options: dict[str, Any]) -> None:
        asked = {name: options[name] for name in ("scan_type", "target", "status")}
        found = self.door.list_all({name: it for name, it in asked.items() if it})
        if options["is_json"]:
            self._print_json(found)
        elif found:
            self._print(table([HEADINGS, *map(_cells, found)]))
        else:
            self.stdout.write("There is no such baseline.")

    def show(self, options: dict[str, Any]) -> None:
        baseline = self.door.show(_id(options["baseline"]))
        if options["is_json"]:
            self._print_json(baseline)
        else:
            self._print(_described(baseline))

    def approve(self, options: dict[str, Any]) -> None:
        baseline = self.door.approve(_id(options["baseline"]))
        name, target = plain(baseline["name"]), plain(baseline["target"])
        self.stdout.write(f"{name} is in force for {target}.")

    def retire(self, options: dict[str, Any]) -> None:
        baseline = self.door.retire(_id(options["baseline"]))
        name, target = plain(baseline["name"]), plain(baseline["target"])
        self.stdout.write(f"{name} is retired: {target} has no approved state now.")

    def compare(self, options: dict[str, Any]) -> None:
        found = self.door.compare(_id(options["left"]), _id(options["right"]))
        if options["is_json"]:
            self._print_json(found)
        else:
            self._print(comparison(found))
        if options["exit_code"] and (found["changes"] or found["not_compared"]):
            sys.exit(DIFFERENT)

    def _print_json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, indent=2))

    def _print(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.stdout.write(line)


def _id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise UsageError(f"{text!r} is not the id of one") from error


def _cells(row: Document) -> tuple[str, ...]:
    return (
        row["status"],
        row["scan_type"],
        plain(row["target"]),
        moment_of(row["created_at"]),
        moment_of(row["approved_at"]),
        plain(row["approved_by"]) or "-",
        row["baseline_id"],
        plain(row["name"]),
    )


def _described(baseline: Document) -> list[str]:
    lines = [
        f"{plain(baseline['name'])}: {baseline['status']}",
        f"  target    {plain(baseline['target'])} ({baseline['scan_type']})",
        f"  scan      {baseline['scan_id'] or 'deleted since'}",
    ]
    for deed in ("created", "approved", "retired"):
        if at := baseline[f"{deed}_at"]:
            lines.append(
                f"  {deed:<8}  {moment_of(at)} by {plain(baseline[f'{deed}_by'])}"
            )
    if baseline["description"]:
        lines.append(f"  about     {plain(baseline['description'])}")
    rows = [("SIZE", "SHA-256", "ELEMENT")]
    rows += [
        (
            str(each.get("size", "")),
            str(each.get("digest", ""))[:12],
            plain(each["path"]),
        )
        for each in baseline["elements"]
    ]
    return [*lines, "", *table(rows)]
