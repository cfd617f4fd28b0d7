"""`sentrascan restore`: makes this installation what a backup says, or does nothing."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError
from rich.console import Console

from apikeys.management.command import SentraCommand, UsageError
from scans.backups import keys
from scans.backups.failures import BackupError, Occupied
from scans.backups.opening import opened
from scans.backups.restoring import Restored, restore
from scans.backups.sources import tables_in
from scans.management.meter import Meter
from scans.management.quiet import hush_logs
from scans.management.sentences import sentence

STDIN = Path("-")


class Command(SentraCommand):
    help = (
        "Restore a backup of `sentrascan backup`, or a plain dump of pg_dump (.sql, "
        ".sql.gz). It is examined first, made in a database of its own, compared, "
        "migrated to this version and only then put in the place of the present one, "
        "whose last state is kept beside it. API keys that were revoked since the "
        "backup stay revoked."
    )
    # The present database may be what is broken.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", type=Path, metavar="FILE", help="- for the standard input"
        )
        parser.add_argument(
            "--verify",
            action="store_true",
            help="compare every row afterwards, not only their numbers",
        )
        parser.add_argument(
            "--replace",
            action="store_true",
            help="replace an installation that is not empty, or is damaged",
        )
        parser.add_argument(
            "--check", action="store_true", help="only examine the file, change nothing"
        )
        parser.add_argument(
            "--keys", type=Path, metavar="FILE", help="what `backup --keys` wrote"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        hush_logs(options["verbosity"])
        file: Path = options["file"]
        if file != STDIN and not file.is_file():
            raise UsageError(f"There is no file {file}.")
        try:
            with Meter(Console(stderr=True)) as meter, _here(file) as path:
                self._restore(path, file.name, meter, options)
        except Occupied as error:
            raise UsageError(sentence(error)) from error
        except BackupError as error:
            raise CommandError(f"{sentence(error)} Nothing was changed.") from error
        except DatabaseError as error:
            raise CommandError(
                f"The database refused: {sentence(error)} Nothing was changed."
            ) from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise CommandError(f"{reason}. Nothing was changed.") from error

    def _restore(
        self, path: Path, name: str, meter: Meter, options: dict[str, Any]
    ) -> None:
        key = keys.saved(options["keys"]) if options["keys"] else None
        with opened(path, meter) as source:
            if options["check"]:
                tables_in(source)
                rows = sum(source.counts.values())
                self.stdout.write(f"Sound: {source.describe()}, {rows} rows.")
                return
            restored = restore(
                source,
                name,
                meter,
                is_replacing=options["replace"],
                is_verifying=options["verify"],
                key=key,
            )
            self._tell(restored, source.describe(), is_verified=options["verify"])

    def _tell(self, restored: Restored, what: str, *, is_verified: bool) -> None:
        say, warn = self.stdout.write, self.stderr.write
        compared = "each compared" if is_verified else "counted"
        say(f"Restored {what}: {restored.rows} rows ({compared}),")
        say(f"  {restored.files} stored uploads.")
        if restored.previous:
            say(f"The database as it was before is kept as {restored.previous}.")
        if restored.shut.keys:
            names = ", ".join(restored.shut.keys)
            say(f"Revoked since the backup, and still revoked: {names}.")
        if restored.shut.users:
            names = ", ".join(restored.shut.users)
            say(f"Shut out since the backup, and still so: {names}.")
        if not restored.is_known_who:
            warn(
                "The database before could not be asked which API keys were revoked "
                f"since: {restored.live_keys} are live, see `sentrascan auth list`."
            )
        if restored.missing_files:
            warn(
                f"The bytes of {restored.missing_files} uploads are not here: their "
                "scans remain, and cannot be run again."
            )
        if restored.key_trouble:
            warn(
                f"{restored.key_trouble[0].upper()}{restored.key_trouble[1:]}: what is "
                "signed or encrypted needs it. Put it back, or restore with --keys."
            )
        if not restored.live_keys:
            warn("No API key is live: `sentrascan auth create` makes one.")


@contextmanager
def _here(file: Path) -> Iterator[Path]:
    """Yield a file that can be read more than once, whatever was named."""
    if file != STDIN:
        yield file
        return
    with NamedTemporaryFile(dir=settings.DATA_DIR, prefix=".restore-input-") as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy, 1 << 20)
        copy.flush()
        yield Path(copy.name)
