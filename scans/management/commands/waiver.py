"""`waiver list|create|delete`: risks that this installation accepts for a time."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from apikeys.audit import COMMAND_LINE
from apikeys.management.command import SentraCommand, UsageError, whole_number
from apikeys.management.tables import moment, table
from scans import waiving
from scans.choices import NotFound, Refused
from scans.exports.shapes import WAIVER_COLUMNS, Row, waiver_shape
from scans.management.reporting import plain
from scans.models import Waiver
from scans.waivers import EVERY_TARGET

MOST_DAYS = 36_500
DIGITS = 12  # of a fingerprint in the table: people compare, machines take --json
HEADINGS = ("STATE", "ENDS", "FINGERPRINT", "TARGET", "BY", "ID", "REASON")


class Command(SentraCommand):
    help = "Accept a finding until a moment, look at what is accepted, take it back."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        shown = verbs.add_parser("list", help="show every waiver, newest first")
        shown.add_argument(
            "--stale",
            action="store_true",
            help="only those that match nothing in any target's newest scan",
        )
        shown.add_argument("--json", action="store_true", dest="is_json")
        create = verbs.add_parser("create", help="accept a finding, and print its id")
        create.add_argument("--fingerprint", required=True, metavar="F")
        create.add_argument("--target", metavar="T", help="default: all targets")
        create.add_argument("--reason", required=True, metavar="TEXT")
        ends = create.add_mutually_exclusive_group(required=True)
        ends.add_argument("--expires-at", metavar="2027-03-31T00:00:00Z")
        ends.add_argument(
            "--expires-in-days", type=whole_number(1, MOST_DAYS), metavar="D"
        )
        delete = verbs.add_parser("delete", help="end a waiver now")
        delete.add_argument("waiver", metavar="ID")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        verbs = {"list": self.show, "create": self.create, "delete": self.delete}
        verbs[verb](options)

    def show(self, options: dict[str, Any]) -> None:
        waivers = Waiver.objects.order_by("-created_at", "-waiver_id")
        if options["stale"]:
            waivers = waivers.stale()
        rows = [waiver_shape(row) for row in waivers.values(*WAIVER_COLUMNS)]
        if options["is_json"]:
            self.stdout.write(json.dumps(rows, cls=DjangoJSONEncoder, indent=2))
        elif rows:
            for line in table([HEADINGS, *(_cells(row) for row in rows)]):
                self.stdout.write(line)
        else:
            self.stdout.write("There is no such waiver.")

    def create(self, options: dict[str, Any]) -> None:
        if options["target"] == "":
            # What a shell makes of a variable that is not set: nobody means all by it.
            raise UsageError("target: empty; leave --target out to accept it on all")
        try:
            waiver = waiving.create(
                fingerprint=options["fingerprint"],
                target=options["target"] or EVERY_TARGET,
                reason=options["reason"],
                expires_at=_end(options),
                actor=COMMAND_LINE,
            )
        except Refused as error:
            raise UsageError(f"{error.field}: {error.message}") from error
        self.stdout.write(str(waiver.pk))
        where = plain(waiver.target) or "all targets"
        note = f"Accepted on {where} until {moment(waiver.expires_at)}. Scan again."
        self.stderr.write(note, lambda text: text)

    def delete(self, options: dict[str, Any]) -> None:
        try:
            waiving.delete(uuid.UUID(options["waiver"]), actor=COMMAND_LINE)
        except ValueError as error:
            raise UsageError(f"{options['waiver']!r} is not the id of one") from error
        except NotFound as error:
            raise CommandError(f"{error}: see `waiver list`.") from error
        self.stdout.write(f"Deleted waiver {options['waiver']}.")


def _end(options: dict[str, Any]) -> datetime:
    if days := options["expires_in_days"]:
        return timezone.now() + timedelta(days=days)
    text = options["expires_at"]
    try:
        end = parse_datetime(text)
        if end is None or end.tzinfo is None:
            raise ValueError(text)
        return end.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{text!r} is no moment with its offset, such as 2027-03-31T00:00:00Z"
        ) from error


def _cells(row: Row) -> tuple[str, ...]:
    version, _, digest = row["fingerprint"].partition(":")
    return (
        "expired" if row["is_expired"] else "active",
        moment(row["expires_at"]),
        f"{version}:{digest[:DIGITS]}",
        plain(row["target"]) if row["target"] else "*",
        plain(row["created_by"]),
        str(row["waiver_id"]),
        plain(row["reason"]),
    )
