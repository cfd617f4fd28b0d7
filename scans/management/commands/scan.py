"""`sentrascan scan`: submit, watch, judge; the gate of a pipeline."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import OperationalError, ProgrammingError
from rich.console import Console

from apikeys.management.command import SentraCommand, UsageError, whole_number
from scanners.contract import TargetKind
from scans.management.doors import Document, Door, Rejected, Unreachable
from scans.management.following import asked_to_stop, follow, sending
from scans.management.here import Here
from scans.management.orders import NotScannable, Options, Order, order_for
from scans.management.quiet import hush_logs
from scans.management.remote import Remote
from scans.management.reporting import report

FAILED = 1
NOT_JUDGED = 2
UNREACHABLE = 4
FORMATS = ("text", "json")
PROMISED_FORMATS = ("sarif", "junit")

Judged = tuple[Document, list[Document]]


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
        parser.add_argument("--format", default="text", type=_known_format)
        parser.add_argument("--output", type=Path, metavar="FILE")
        parser.add_argument(
            "--server", metavar="URL", help="or SENTRASCAN_SERVER; this machine if none"
        )
        parser.add_argument("--api-key", metavar="KEY", help="or SENTRASCAN_API_KEY")
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
        _check_output(options["output"])
        door = _door(options["server"], options["api_key"])
        try:
            judged, refused = self._judge(door, orders)
        except Unreachable as error:
            raise CommandError(str(error), returncode=UNREACHABLE) from error
        except (OperationalError, ProgrammingError) as error:
            reason = " ".join(str(error).split())
            raise CommandError(
                f"The database of this installation does not answer ({reason}). "
                "`sentrascan migrate` sets it up; --server asks another one.",
                returncode=UNREACHABLE,
            ) from error
        text = _rendered(judged, options["format"], is_one=len(orders) == 1)
        if options["output"]:
            _write(options["output"], text)
        else:
            self.stdout.write(text, ending="")
        sys.exit(_exit_code(judged, refused))

    def _judge(
        self, door: Door, orders: Sequence[Order]
    ) -> tuple[list[Judged], list[Rejected]]:
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
            return [(s, door.findings(s["scan_id"])) for s in ended], refused
        except KeyboardInterrupt:
            for scan in scans:
                door.cancel(scan["scan_id"])
            raise
        except Rejected as error:
            raise CommandError(str(error), returncode=NOT_JUDGED) from error


def _rendered(judged: Sequence[Judged], form: str, *, is_one: bool) -> str:
    if form == "text":
        return "\n".join(report(scan, found) for scan, found in judged)
    documents = [{**scan, "findings": found} for scan, found in judged]
    body: Any = documents[0] if is_one and documents else documents
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def _exit_code(judged: Sequence[Judged], refused: Sequence[Rejected]) -> int:
    verdicts = {scan.get("verdict") for scan, _ in judged}
    if "fail" in verdicts:
        return FAILED
    return NOT_JUDGED if refused or verdicts != {"pass"} else 0


def _door(server: str | None, api_key: str | None) -> Door:
    # The environment of the caller, who may have no installation at all.
    server = server or os.environ.get("SENTRASCAN_SERVER", "")
    if not server:
        if api_key:
            raise UsageError("--api-key is for a --server, and none is named")
        return Here()
    key = api_key or os.environ.get("SENTRASCAN_API_KEY", "")
    if not server.startswith(("http://", "https://")):
        raise UsageError(f"--server {server}: an address begins with http(s)://")
    if not key or not (key.isascii() and key.isprintable()):
        raise UsageError("A server needs an API key: --api-key or SENTRASCAN_API_KEY")
    return Remote(server, key)


def _known_format(text: str) -> str:
    if text in FORMATS:
        return text
    known = " or ".join(FORMATS)
    if text in PROMISED_FORMATS:
        raise argparse.ArgumentTypeError(f"{text} does not exist yet; use {known}")
    raise argparse.ArgumentTypeError(f"{text!r} is unknown; use {known}")


def _label(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not (key and sign and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def _check_output(output: Path | None) -> None:
    """Refuse before the scan, not after it, a place that cannot be written."""
    if output is None:
        return
    folder = output.parent
    if output.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(f"--output {output}: cannot be written")


def _write(output: Path, text: str) -> None:
    """Put the whole report there at once: no reader meets half of it."""
    if output.exists() and not output.is_file():  # /dev/stdout, a pipe
        output.write_text(text, encoding="utf-8")
        return
    with NamedTemporaryFile(
        "w",
        encoding="utf-8",
        errors="backslashreplace",
        dir=output.parent,
        prefix=f".{output.name}.",
        suffix=".partial",
        delete=False,
    ) as draft:
        draft.write(text)
    mask = os.umask(0)
    os.umask(mask)
    Path(draft.name).chmod(0o666 & ~mask)
    Path(draft.name).replace(output)
