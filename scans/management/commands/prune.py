"""`sentrascan prune`: removes what is old, and the bytes that nothing needs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from apikeys.audit import COMMAND_LINE
from apikeys.management.command import SentraCommand, UsageError, whole_number
from scans import pruning
from scans.ages import read_age
from scans.management import space
from scans.management.quiet import hush_logs
from scans.pruning import Pruned, Rules

MOST_KEPT = 1_000_000


class Command(SentraCommand):
    help = (
        "Remove finished scans older than an age, and the bytes nothing needs. "
        "Without any age: by the settings SENTRASCAN_KEEP_..., at once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        ages = {
            "--older-than": "finished scans, such as 90d, 12h or 8w",
            "--uploads-older-than": "submitted bytes of finished scans",
            "--audit-older-than": "audit events",
        }
        for name, text in ages.items():
            parser.add_argument(name, type=age, metavar="AGE", help=text)
        parser.add_argument(
            "--keep-last",
            type=whole_number(1, MOST_KEPT),
            default=0,
            metavar="N",
            help="keep the newest N judged scans of each target, whatever their age; "
            "without --older-than all others go",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="only say how much would go"
        )
        parser.add_argument(
            "--vacuum",
            action="store_true",
            help="then make the space of deleted rows usable in the database",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        hush_logs(options["verbosity"])
        rules = rules_of(options)
        would = pruning.rehearse(rules)
        if options["dry_run"]:
            self.stdout.write(f"{told(would)} would be removed.")
            return
        with shown(would) as tell:
            pruned = pruning.prune(rules, actor=COMMAND_LINE, tell=tell)
        self.stdout.write(
            f"Removed {told(pruned)}; {pruned.uploads} stored uploads "
            f"({decimal(pruned.bytes)}) and {pruned.files} stray files."
        )
        if options["vacuum"]:
            space.vacuum()
            self.stdout.write("The space of deleted rows can be used again.")
        elif advice := space.advice():
            self.stdout.write(advice)


def rules_of(options: dict[str, Any]) -> Rules:
    """Return what the options say, else what the settings say."""
    asked = Rules(
        scans=options["older_than"],
        keep_last=options["keep_last"],
        uploads=options["uploads_older_than"],
        audit=options["audit_older_than"],
    )
    rules = Rules.configured() if asked.is_empty else asked
    if rules.is_empty:
        raise UsageError(
            "Say what is old (--older-than 90d), or set SENTRASCAN_KEEP_SCANS."
        )
    return rules


def told(pruned: Pruned) -> str:
    parts = [f"{pruned.scans} scans"]
    if pruned.files_of_scans:
        parts.append(f"the bytes of {pruned.files_of_scans} files of kept scans")
    if pruned.target_findings:
        parts.append(f"what was remembered of {pruned.target_findings} findings")
    if pruned.audit_events:
        parts.append(f"{pruned.audit_events} audit events")
    return ", ".join(parts)


def rows_of(pruned: Pruned) -> int:
    asked_for = (pruned.scans, pruned.files_of_scans, pruned.target_findings)
    return sum(asked_for) + pruned.audit_events


@contextmanager
def shown(would: Pruned) -> Iterator[Callable[[Pruned], None]]:
    """Give what shows how far it is: a bar for people, nothing for logs."""
    console = Console(file=sys.stderr)
    total = rows_of(would)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("removing", total=total)

        def tell(pruned: Pruned) -> None:
            bar.update(task, completed=rows_of(pruned))

        yield tell


def age(text: str) -> timedelta:
    try:
        return read_age(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
