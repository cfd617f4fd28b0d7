"""What every command of ours does alike: its exit codes."""

from __future__ import annotations

import argparse
import sys
import traceback
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

FAILURE = 2
USAGE = 3
INTERRUPTED = 130
_ARGPARSE_USAGE = 2
_DJANGO_DEFAULT = 1


class UsageError(CommandError):
    """The command was called wrongly: one line on stderr, exit 3."""

    def __init__(self, message: str) -> None:
        super().__init__(message, returncode=USAGE)


class SentraCommand(BaseCommand):
    """A command with the exit codes that scripts rely on.

    0 done, 3 for a usage error (argparse's own or `UsageError`), 2 for a
    `CommandError` without a code of its own and for whatever nobody expected (with
    its traceback; a database that does not answer gets one line). Codes with a
    meaning of one command, such as 1 for a failed gate: `sys.exit(code)`.
    """

    _is_parsed = False

    def run_from_argv(self, argv: list[str]) -> None:
        with _ExitCodes(self, has_traceback="--traceback" in argv):
            super().run_from_argv(argv)

    def execute(self, *args: Any, **options: Any) -> str | None:
        self._is_parsed = True
        try:
            return super().execute(*args, **options)
        except CommandError as error:
            # Django's default would be the verdict "fail" of `scan`.
            if error.returncode == _DJANGO_DEFAULT:
                error.returncode = FAILURE
            raise


class _ExitCodes(AbstractContextManager[None]):
    """The outermost frame of a command: turns what comes out into an exit code."""

    def __init__(self, command: SentraCommand, *, has_traceback: bool) -> None:
        self.command = command
        self.has_traceback = has_traceback

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            return
        if isinstance(error, SystemExit):
            if error.code == _ARGPARSE_USAGE and not self.command._is_parsed:
                raise SystemExit(USAGE) from error
            return
        if isinstance(error, KeyboardInterrupt):
            raise SystemExit(INTERRUPTED) from error
        if isinstance(error, DatabaseError) and not self.has_traceback:
            reason = " ".join(str(error).split())
            self.command.stderr.write(f"The database refused: {reason}")
        else:
            traceback.print_exception(error, file=sys.stderr)
        code = error.returncode if isinstance(error, CommandError) else FAILURE
        raise SystemExit(code) from error


def whole_number(low: int, high: int) -> _WholeNumber:
    """Return an argparse `type=` that takes whole numbers from `low` to `high`."""
    return _WholeNumber(low, high)


class _WholeNumber:
    def __init__(self, low: int, high: int) -> None:
        self.low = low
        self.high = high

    def __call__(self, text: str) -> int:
        # isdecimal() alone would let other scripts' digits in.
        if not (text.isascii() and text.isdecimal() and len(text) <= 18):
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
        if not self.low <= int(text) <= self.high:
            raise argparse.ArgumentTypeError(
                f"{text} is not between {self.low} and {self.high}"
            )
        return int(text)
