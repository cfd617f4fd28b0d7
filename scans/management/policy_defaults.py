"""`policy defaults|set-default|unset-default`: who is judged by what, unasked."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser, OutputWrapper
from django.core.serializers.json import DjangoJSONEncoder

from apikeys.audit import COMMAND_LINE
from apikeys.management.command import UsageError
from apikeys.management.tables import moment, table
from scanners.contract import TargetKind
from scans import policy_choice
from scans.choices import Conflict, Refused
from scans.exports.shapes import POLICY_DEFAULT_COLUMNS, policy_default_shape
from scans.management.reporting import plain
from scans.models import PolicyDefault
from scans.models.policy_defaults import EVERY_TARGET

HEADINGS = ("TYPE", "TARGETS", "POLICY", "CREATED", "BY")


def add_arguments(verbs: Any) -> None:
    listed = verbs.add_parser("defaults", help="which policy judges what names none")
    listed.add_argument("--json", action="store_true", dest="is_json")
    chosen = verbs.add_parser("set-default", help="let a policy judge what names none")
    chosen.add_argument("name", metavar="NAME")
    _add_whom(chosen)
    unset = verbs.add_parser("unset-default", help="take such a choice back")
    _add_whom(unset)


def _add_whom(parser: CommandParser) -> None:
    parser.add_argument("--type", required=True, choices=TargetKind.values)
    parser.add_argument(
        "--targets",
        default=EVERY_TARGET,
        metavar="PATTERN",
        help="target names, as of a shell: 'prod/*' (quoted); default: all",
    )


def show(options: dict[str, Any], out: OutputWrapper) -> None:
    rows = [
        policy_default_shape(row)
        for row in PolicyDefault.objects.values(*POLICY_DEFAULT_COLUMNS)
    ]
    if options["is_json"]:
        out.write(json.dumps(rows, cls=DjangoJSONEncoder, indent=2))
        return
    if not rows:
        out.write("There is none: what names no policy is judged by default.")
        return
    cells = [
        (
            row["scan_type"],
            plain(row["pattern"]),
            plain(row["policy"]),
            moment(row["created_at"]),
            plain(row["created_by"]),
        )
        for row in rows
    ]
    for line in table([HEADINGS, *cells]):
        out.write(line)


def choose(options: dict[str, Any], out: OutputWrapper) -> None:
    try:
        row = policy_choice.create(
            scan_type=options["type"],
            pattern=options["targets"],
            policy=options["name"],
            actor=COMMAND_LINE,
        )
    except Refused as error:
        raise UsageError(f"{error.field}: {error.message}") from error
    except Conflict as error:
        raise CommandError(f"{error}: unset it first") from error
    out.write(f"Set {plain(row)}.")


def unset(options: dict[str, Any], out: OutputWrapper) -> None:
    rows = PolicyDefault.objects.filter(
        scan_type=options["type"], pattern=options["targets"]
    )
    row = rows.first()
    if row is None:
        raise CommandError("There is no such default; see `policy defaults`.")
    policy_choice.delete(row.pk, actor=COMMAND_LINE)
    out.write(f"Unset {plain(row)}.")
