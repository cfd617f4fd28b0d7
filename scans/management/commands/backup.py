"""`sentrascan backup`: everything that an installation knows, in one file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.filesize import decimal

from apikeys import audit
from apikeys.audit import COMMAND_LINE
from apikeys.management.command import SentraCommand, UsageError
from scans.backups import keys
from scans.backups.failures import BackupError
from scans.backups.files import check_name, written_whole
from scans.backups.taking import Taken, take
from scans.management.meter import Meter
from scans.management.quiet import hush_logs
from scans.management.sentences import sentence

STDOUT = Path("-")


class Command(SentraCommand):
    help = (
        "Write the database, as it is at one moment, and the stored uploads into one "
        "file, while everything runs. `sentrascan restore` reads it on PostgreSQL and "
        "SQLite alike. Sessions are left out; the installation key only goes into the "
        "file that --keys names."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", type=Path, metavar="FILE", help="- for the standard output"
        )
        parser.add_argument(
            "--uploads",
            choices=("whole", "reference"),
            default="whole",
            help="whole: with the stored bytes (default); reference: only their names, "
            "for a restore beside the same data directory",
        )
        parser.add_argument(
            "--keys",
            type=Path,
            metavar="FILE",
            help="write the key that signatures and encryption rest on to this file",
        )
        parser.add_argument(
            "--overwrite", action="store_true", help="replace files that are there"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        hush_logs(options["verbosity"])
        file, key_file = options["file"], options["keys"]
        is_overwriting = options["overwrite"]
        try:
            for path in filter(None, (file, key_file)):
                if path != STDOUT:
                    check_name(path, overwrite=is_overwriting)
        except BackupError as error:
            raise UsageError(sentence(error)) from error
        is_whole = options["uploads"] == "whole"
        try:
            key = keys.save(key_file, overwrite=is_overwriting) if key_file else ""
            taken = self._take(file, is_whole=is_whole, overwrite=is_overwriting)
        except BackupError as error:
            raise CommandError(sentence(error)) from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise CommandError(f"{file} could not be written: {reason}") from error
        _note(file, taken, is_whole=is_whole, key=key)
        self._tell(taken, is_whole=is_whole, key=key)

    def _take(self, file: Path, *, is_whole: bool, overwrite: bool) -> Taken:
        with Meter(Console(stderr=True)) as meter:
            if file == STDOUT:
                stream: IO[bytes] = sys.stdout.buffer
                taken = take(stream, meter, is_whole=is_whole)
                stream.flush()
                return taken
            with written_whole(file, overwrite=overwrite) as stream:
                return take(stream, meter, is_whole=is_whole)

    def _tell(self, taken: Taken, *, is_whole: bool, key: str) -> None:
        # The standard output may be the archive itself.
        say = self.stderr.write
        uploads = (
            f"{taken.files} stored uploads ({decimal(taken.file_bytes)})"
            if is_whole
            else "no stored uploads, only their names"
        )
        say(f"Backed up {taken.rows} rows and {uploads}.", self.style.SUCCESS)
        if key:
            say(f"The installation key {key[:12]} is in a file of its own.")
        if taken.missing:
            say(f"{len(taken.missing)} stored uploads were gone; their scans remain.")
        for sha256 in taken.damaged:
            say(f"Stored upload {sha256} is damaged on disk: it cannot be restored.")


def _note(file: Path, taken: Taken, *, is_whole: bool, key: str) -> None:
    audit.record(
        "installation.backup",
        actor=COMMAND_LINE,
        object_type="installation",
        object_id=file.name[:200],
        detail={
            "rows": taken.rows,
            "uploads": taken.files,
            "is_whole": is_whole,
            "key": key[:12],
        },
    )
