"""`sentrascan report`: a finished scan as a document for other tools."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from apikeys.management.command import SentraCommand, UsageError
from scans.exports.forms import FORMS
from scans.management import outputs, servers
from scans.management.quiet import hush_logs


class Command(SentraCommand):
    help = (
        "Write the report of a finished scan. Exit code: 0 written (whatever the "
        "verdict), 2 no such report, 3 wrong usage, 4 server unreachable."
    )
    # A remote report needs neither our database nor our scanners.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("scan", metavar="SCAN_ID")
        parser.add_argument("--format", choices=FORMS, default="json")
        parser.add_argument("--output", type=Path, metavar="FILE")
        servers.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        hush_logs(options["verbosity"])
        try:
            scan_id = uuid.UUID(options["scan"])
        except ValueError as error:
            raise UsageError(f"{options['scan']!r} is no scan's id") from error
        outputs.check(options["output"])
        door = servers.door_for(options["server"], options["api_key"])
        with servers.told():
            document = door.report(str(scan_id), options["format"])
        outputs.write(options["output"], document)
