"""`sentrascan prune`: removes old scans, and the bytes that nothing needs."""

from __future__ import annotations

import argparse
import re
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser

from apikeys import audit
from apikeys.audit import COMMAND_LINE
from apikeys.management.command import SentraCommand
from scans import retention

AGE = re.compile(r"([0-9]{1,6})([hdw])")
UNITS = {"h": "hours", "d": "days", "w": "weeks"}
LONGEST = timedelta(days=36_500)


class Command(SentraCommand):
    help = "Remove finished scans older than an age, and the bytes nothing needs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--older-than",
            required=True,
            type=age,
            metavar="AGE",
            help="such as 90d, 12h or 8w",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="only say how many would go"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        is_rehearsal = options["dry_run"]
        pruned = retention.prune(options["older_than"], dry_run=is_rehearsal)
        if is_rehearsal:
            self.stdout.write(f"{pruned.scans} scans would be removed.")
            return
        # The scans went in batches of their own; this says who asked for it.
        audit.record(
            "scan.prune",
            actor=COMMAND_LINE,
            object_type="scan",
            object_id="*",
            detail={
                "older_than_seconds": int(options["older_than"].total_seconds()),
                "scans": pruned.scans,
                "uploads": pruned.uploads,
                "files": pruned.files,
            },
        )
        self.stdout.write(
            f"Removed {pruned.scans} scans, {pruned.uploads} stored uploads and "
            f"{pruned.files} stray files."
        )


def age(text: str) -> timedelta:
    match = AGE.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no age such as 90d, 12h or 8w")
    length = timedelta(**{UNITS[match[2]]: int(match[1])})
    if not timedelta(0) < length <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text} is not between an hour and 100 years")
    return length
