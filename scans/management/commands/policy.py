"""`policy list|show|import|export|what-if|defaults`: rule books, and for whom."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from apikeys.audit import COMMAND_LINE
from apikeys.management.command import SentraCommand, UsageError, whole_number
from apikeys.management.tables import moment, table
from scans import policies, policy_text
from scans.choices import Conflict, NotFound, Refused
from scans.exports.shapes import policy_shape
from scans.gate import with_defaults
from scans.management import asking, policy_defaults
from scans.models import Policy

STDIN = "-"
HEADINGS = ("NAME", "VERSION", "CREATED", "BY")


class Command(SentraCommand):
    help = "List, show, import and export policies; ask what one would change."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        listed = verbs.add_parser("list", help="every policy in its newest version")
        listed.add_argument("--json", action="store_true", dest="is_json")
        show = verbs.add_parser("show", help="one policy, with the defaults it takes")
        _add_version(show)
        show.add_argument("--json", action="store_true", dest="is_json")
        taken = verbs.add_parser(
            "import", help="make a policy of a YAML file, or its next version"
        )
        taken.add_argument("file", metavar="FILE", help="- is the standard input")
        taken.add_argument("--name", help="default: the file's name without .yaml")
        given = verbs.add_parser("export", help="a policy as YAML, to be imported")
        _add_version(given)
        given.add_argument("--output", metavar="F", help="default: standard output")

        asked = verbs.add_parser(
            "what-if", help="judge the stored scans by it, and change nothing"
        )
        asking.add_arguments(asked)
        policy_defaults.add_arguments(verbs)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        verbs: dict[str, Callable[[dict[str, Any]], None]] = {
            "list": self.list_all,
            "show": self.show,
            "import": self.take,
            "export": self.give,
            "what-if": self.ask,
            "defaults": partial(policy_defaults.show, out=self.stdout),
            "set-default": partial(policy_defaults.choose, out=self.stdout),
            "unset-default": partial(policy_defaults.unset, out=self.stdout),
        }
        verbs[verb](options)

    def list_all(self, options: dict[str, Any]) -> None:
        Policy.objects.built_in()
        rows = list(Policy.objects.current().order_by("name"))
        if options["is_json"]:
            self._print_json([policy_shape(row) for row in rows])
            return
        cells = [
            (row.name, f"v{row.version}", moment(row.created_at), row.created_by)
            for row in rows
        ]
        for line in table([HEADINGS, *cells]):
            self.stdout.write(line)

    def show(self, options: dict[str, Any]) -> None:
        policy = _found(options)
        if options["is_json"]:
            self._print_json(policy_shape(policy))
            return
        who = f" by {policy.created_by}" if policy.created_by else ""
        made = f"# {policy}, {moment(policy.created_at)}{who}"
        self.stdout.write(made)
        self.stdout.write(policy_text.write(with_defaults(policy.document)), ending="")

    def take(self, options: dict[str, Any]) -> None:
        name, document = _name(options), document_of(options["file"])
        try:
            if Policy.objects.newest(name) is None:
                policy = policies.create(name, document, actor=COMMAND_LINE)
            else:
                policy = policies.revise(name, document, actor=COMMAND_LINE)
        except Refused as error:
            raise UsageError(error.message) from error
        except Conflict as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Imported {policy}.")

    def ask(self, options: dict[str, Any]) -> None:
        stored = _found(options | {"policy_version": None}).document
        file = options["file"]
        asking.ask(document_of(file) if file else stored, options, self.stdout)

    def give(self, options: dict[str, Any]) -> None:
        text = policy_text.write(_found(options).document)
        if not options["output"]:
            self.stdout.write(text, ending="")
            return
        try:
            Path(options["output"]).write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{options['output']}: {error.strerror}") from error

    def _print_json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, cls=DjangoJSONEncoder, indent=2))


def _add_version(parser: CommandParser) -> None:
    parser.add_argument("name", metavar="NAME")
    parser.add_argument(
        "--version",
        dest="policy_version",
        type=whole_number(1, 2**31 - 1),
        metavar="N",
        help="default: the newest",
    )


def _found(options: dict[str, Any]) -> Policy:
    try:
        return policies.found(options["name"], options["policy_version"])
    except NotFound as error:
        raise CommandError(f"{error}; see `policy list`.") from error


def _name(options: dict[str, Any]) -> str:
    if options["name"]:
        return str(options["name"])
    if options["file"] == STDIN:
        raise UsageError("What is read from the standard input needs a --name.")
    return Path(options["file"]).stem


def document_of(file: str) -> Any:
    """Return what stands in a YAML file; raise `UsageError`."""
    limit = policy_text.MAX_BYTES + 1  # one more than is taken
    try:
        if file == STDIN:
            raw = sys.stdin.buffer.read(limit)
        else:
            with Path(file).open("rb") as stream:
                raw = stream.read(limit)
        return policy_text.read(raw)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error
    except policy_text.PolicyTextError as error:
        raise UsageError(f"{file}: {error}") from error
