"""`sentrascan doctor`: does everything work, here and in every worker?"""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import CommandParser

from apikeys.management.command import SentraCommand
from scans.management.checkup import Check, Checkup, check_up
from scans.management.quiet import hush_logs

NOT_WELL = 1


class Command(SentraCommand):
    help = (
        "Run a detection through every scanner and look at database, broker, workers "
        "and sandbox. Exit code 1 when something that is needed is not there."
    )
    # The checks would say in warnings what this says in lines.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", dest="is_json")

    def handle(self, *args: Any, **options: Any) -> None:
        hush_logs(options["verbosity"])
        checkup = check_up()
        if options["is_json"]:
            self.stdout.write(json.dumps(document_of(checkup), indent=2))
        else:
            self.stdout.write("\n".join(check.line for check in checkup.checks))
        if not checkup.is_good:
            sys.exit(NOT_WELL)


def document_of(checkup: Checkup) -> dict[str, Any]:
    return {
        "is_good": checkup.is_good,
        "scanners": [
            {
                "scanner": check.name,
                "status": check.status,
                "version": checkup.versions.get(check.name, ""),
                "reason": "" if check.is_good else check.detail,
            }
            for check in checkup.scanners
        ],
        "database": _document(checkup.database),
        "broker": _document(checkup.broker),
        "workers": {
            **_document(checkup.workers),
            "live": [
                {"name": one.name, "sandbox": one.sandbox, "scanners": one.scanners}
                for one in checkup.live_workers
            ],
        },
        "sandbox": _document(checkup.sandbox),
        "installation_key": _document(checkup.key),
    }


def _document(check: Check) -> dict[str, str]:
    return {"status": check.status, "detail": check.detail}
