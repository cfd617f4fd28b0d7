"""`auth create|list|revoke|rotate`: the keys of this installation."""

from __future__ import annotations

import json
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from apikeys import keyring
from apikeys.audit import COMMAND_LINE
from apikeys.choices import Role
from apikeys.management.command import SentraCommand, UsageError, whole_number
from apikeys.management.tables import moment, table
from apikeys.models import ApiKey, DuplicateName, NotLive

SHOWN_ONCE = "This key is shown only this once: keep it now."
JSON_FIELDS = (
    "key_id",
    "name",
    "role",
    "state",
    "is_revoked",
    "created_at",
    "expires_at",
    "last_used_at",
    "last_used_ip",
    "created_by",
    "rotated_from_id",
    "grace_until",
    "revoked_at",
    "public_id",
)
HEADINGS = ("NAME", "ROLE", "STATE", "CREATED", "LAST USED", "ENDS", "ID")


class Command(SentraCommand):
    help = "Make, list, revoke and rotate API keys."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        create = verbs.add_parser("create", help="make a key and print it, once")
        create.add_argument("--name", required=True)
        create.add_argument("--role", required=True, choices=Role.values)
        create.add_argument(
            "--expires-in-days",
            type=whole_number(1, keyring.MAX_EXPIRY_DAYS),
            metavar="D",
        )
        shown = verbs.add_parser("list", help="show every key, newest first")
        shown.add_argument("--json", action="store_true", dest="is_json")
        revoke = verbs.add_parser("revoke", help="end a key, or all of a name, now")
        revoke.add_argument("key", metavar="NAME|ID")
        rotate = verbs.add_parser("rotate", help="replace a key and print the new one")
        rotate.add_argument("key", metavar="NAME|ID")
        rotate.add_argument(
            "--grace-hours",
            type=whole_number(0, keyring.MAX_GRACE_HOURS),
            default=keyring.DEFAULT_GRACE_HOURS,
            metavar="H",
            help="how long the old key goes on working (default: %(default)s)",
        )

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        verbs = {
            "create": self.create,
            "list": self.show,
            "revoke": self.revoke,
            "rotate": self.rotate,
        }
        verbs[verb](options)

    def create(self, options: dict[str, Any]) -> None:
        try:
            key, plain = keyring.create(
                name=options["name"],
                role=options["role"],
                expires_in_days=options["expires_in_days"],
                actor=COMMAND_LINE,
            )
        except ValidationError as error:
            raise UsageError(" ".join(error.messages)) from error
        except DuplicateName as error:
            raise CommandError(
                f"A live key is named {options['name']!r} already: revoke or rotate it."
            ) from error
        self._print_key(plain, f"Created {key.role} key {key.name!r}. {SHOWN_ONCE}")

    def show(self, options: dict[str, Any]) -> None:
        keys = list(ApiKey.objects.order_by("-created_at", "-key_id"))
        if options["is_json"]:
            rows = [{name: getattr(key, name) for name in JSON_FIELDS} for key in keys]
            for row in rows:
                row["rotated_from"] = row.pop("rotated_from_id")
            self.stdout.write(json.dumps(rows, cls=DjangoJSONEncoder, indent=2))
            return
        for line in table([HEADINGS, *(_cells(key) for key in keys)]):
            self.stdout.write(line)

    def revoke(self, options: dict[str, Any]) -> None:
        known = self._known(options["key"])
        revoked = keyring.revoke(options["key"], actor=COMMAND_LINE)
        name = known[0].name
        if revoked:
            self.stdout.write(f"Revoked {revoked} key(s) named {name!r}.")
        else:
            self.stdout.write(f"{name!r} was revoked already.")

    def rotate(self, options: dict[str, Any]) -> None:
        known = self._known(options["key"])
        # Of a pair that shares a name, the one that has no successor yet.
        newest = next((key for key in known if key.grace_until is None), known[0])
        hours = options["grace_hours"]
        try:
            key, plain = keyring.rotate(newest, grace_hours=hours, actor=COMMAND_LINE)
        except NotLive as error:
            raise CommandError(
                f"{newest.name!r} is {newest.state.value}: only a live key that has "
                "no successor can be rotated."
            ) from error
        self._print_key(
            plain, f"Rotated {key.name!r}; the old key ends in {hours} h. {SHOWN_ONCE}"
        )

    def _known(self, name_or_id: str) -> list[ApiKey]:
        """Return the keys, the live and then the newest first."""
        keys = ApiKey.objects.called(name_or_id).order_by("is_revoked", "-created_at")
        if not keys:
            raise CommandError(f"There is no key {name_or_id!r}; see `auth list`.")
        return list(keys)

    def _print_key(self, plain: str, note: str) -> None:
        # The key alone on stdout: `KEY=$(sentrascan auth create ...)` takes it whole.
        self.stdout.write(plain)
        self.stdout.flush()
        self.stderr.write(note, lambda text: text)


def _cells(key: ApiKey) -> tuple[str, ...]:
    ends = [end for end in (key.expires_at, key.grace_until) if end]
    return (
        key.name,
        key.role,
        key.state,
        moment(key.created_at),
        moment(key.last_used_at),
        moment(min(ends, default=None)),
        str(key.pk),
    )
