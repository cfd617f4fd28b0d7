"""`sentrascan scan`: submit, watch, judge; the gate of a pipeline."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import OperationalError, ProgrammingError
from rich.console import Console

from apikeys.management.command import SentraCommand, UsageError, whole_number
from scanners.contract import TargetKind
from scans.management import outputs, servers
from scans.management.doors import Document, Door, Rejected, Unreachable
from scans.management.following import asked_to_stop, follow, sending
from scans.management.merging import MERGES
from scans.management.orders import NotScannable, Options, Order, order_for
from scans.management.quiet import hush_logs
from scans.management.reporting import report

FAILED = 1
NOT_JUDGED = 2
UNREACHABLE = 4
FORMATS = ("text", "json", *MERGES)


class Command(SentraCommand):
    help = (
        "Scan files, folders or MCP configurations. Exit code: 0 pass, 1 fail, "
        "2 inconclusive or error, 3 wrong usage, 4 server unreachable."
    )
    # A remote scan needs neither our database nor our scanners.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("paths", nargs="+", metavar="PATH", type=Path)
        parser.add_argument(
            "--type",
            choices=TargetKind.values,
            help="what it is; told by its content otherwise",
        )
        parser.add_argument("--policy", help="policy to judge by (default)")
        parser.add_argument("--format", choices=FORMATS, default="text")
        parser.add_argument("--output", type=Path, metavar="FILE")
        servers.add_arguments(parser)
        parser.add_argument(
            "--timeout", type=whole_number(1, 86_400), metavar="SECONDS"
        )
        parser.add_argument(
            "--label", action="append", default=[], type=_label, metavar="KEY=VALUE"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        hush_logs(options["verbosity"])
        asked = Options(
            kind=TargetKind(options["type"]) if options["type"] else None,
            policy=options["policy"],
            timeout_seconds=options["timeout"],
            labels=dict(options["label"]),
        )
        try:
            orders = [order_for(path, asked) for path in options["paths"]]
        except NotScannable as error:
            raise UsageError(str(error)) from error
        outputs.check(options["output"])
        door = servers.door_for(options["server"], options["api_key"])
        try:
            scans, refused = self._judge(door, orders)
            document = _document(door, scans, options["format"], len(orders) == 1)
        except Unreachable as error:
            raise CommandError(str(error), returncode=UNREACHABLE) from error
        except (OperationalError, ProgrammingError) as error:
            reason = " ".join(str(error).split())
            raise CommandError(
                f"The database of this installation does not answer ({reason}). "
                "`sentrascan migrate` sets it up; --server asks another one.",
                returncode=UNREACHABLE,
            ) from error
        except Rejected as error:
            raise CommandError(str(error), returncode=NOT_JUDGED) from error
        outputs.write(options["output"], document)
        sys.exit(_exit_code(scans, refused))

    def _judge(
        self, door: Door, orders: Sequence[Order]
    ) -> tuple[list[Document], list[Rejected]]:
        console = Console(stderr=True)
        scans: list[Document] = []
        refused: list[Rejected] = []
        try:
            for order in orders:
                try:
                    with sending(order, console) as moved:
                        scans.append(door.submit(order, moved))
                except Rejected as error:
                    if error.is_usage and not scans:
                        raise UsageError(str(error)) from error
                    self.stderr.write(f"{order.target}: {error}")
                    refused.append(error)
            with asked_to_stop() as is_over:
                ended = follow(door, scans, console, is_over=is_over) if scans else []
            if is_over():
                raise KeyboardInterrupt
            return ended, refused
        except KeyboardInterrupt:
            for scan in scans:
                door.cancel(scan["scan_id"])
            raise


def _document(door: Door, scans: Sequence[Document], form: str, is_one: bool) -> bytes:
    if merge := MERGES.get(form):
        return merge([door.report(scan["scan_id"], form) for scan in scans])
    judged = [(scan, door.findings(scan["scan_id"])) for scan in scans]
    if form == "text":
        text = "\n".join(report(scan, found) for scan, found in judged)
    else:
        documents = [{**scan, "findings": found} for scan, found in judged]
        body: Any = documents[0] if is_one and documents else documents
        text = json.dumps(body, indent=2, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")


def _exit_code(scans: Sequence[Document], refused: Sequence[Rejected]) -> int:
    verdicts = {scan.get("verdict") for scan in scans}
    if "fail" in verdicts:
        return FAILED
    return NOT_JUDGED if refused or verdicts != {"pass"} else 0


def _label(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not (key and sign and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value
