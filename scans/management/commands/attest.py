"""`sentrascan attest`: a finished scan's signed verdict, or the key that checks it."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from apikeys.management.command import SentraCommand, UsageError
from scans.management import outputs, servers
from scans.management.quiet import hush_logs


class Command(SentraCommand):
    help = (
        "Write the signed verdict of a finished scan, for `sentrascan verify`. Exit "
        "code: 0 written (whatever the verdict), 2 there is none, 3 wrong usage, "
        "4 server unreachable."
    )
    # A remote attestation needs neither our database nor our scanners.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("scan", nargs="?", metavar="SCAN_ID")
        parser.add_argument(
            "--public-key", action="store_true", help="write the key, in PEM form"
        )
        parser.add_argument("--output", type=Path, metavar="FILE")
        servers.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        hush_logs(options["verbosity"])
        if bool(options["scan"]) == options["public_key"]:
            raise UsageError("Name a SCAN_ID, or ask for the --public-key")
        outputs.check(options["output"])
        door = servers.door_for(options["server"], options["api_key"])
        with servers.told():
            if options["public_key"]:
                document = door.attestation_key()
            else:
                document = door.attestation(_scan_id(options["scan"]))
        outputs.write(options["output"], document)


def _scan_id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise UsageError(f"{text!r} is no scan's id") from error
