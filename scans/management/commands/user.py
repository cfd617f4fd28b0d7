"""`sentrascan user create`: people who log in with a browser."""

from __future__ import annotations

import secrets
import sys
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db import IntegrityError

from apikeys.choices import Role
from apikeys.management.command import SentraCommand, UsageError
from scans.management.users import create_user


class Command(SentraCommand):
    help = "Create a user; prints a generated password, this once."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        create = verbs.add_parser("create", help="create a user of the console")
        create.add_argument("--name", required=True)
        create.add_argument("--role", required=True, choices=Role.values)
        create.add_argument(
            "--password-stdin",
            action="store_true",
            help="read the password from the first line of the standard input",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        name, role = options["name"], Role(options["role"])
        is_given = options["password_stdin"]
        password = (
            sys.stdin.readline().rstrip("\r\n")
            if is_given
            else secrets.token_urlsafe(15)
        )
        try:
            create_user(name, role, password)
        except ValidationError as error:
            raise UsageError(" ".join(error.messages)) from error
        except IntegrityError as error:
            raise CommandError(f"There is a user {name!r} already.") from error
        self.stdout.write(f"Created the user {name!r} with the role {role.value}.")
        if not is_given:
            self.stdout.write(f"Password: {password}")
            self.stdout.write("It is shown only this once: keep it now.")
