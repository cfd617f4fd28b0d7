"""The `sentrascan` command: `manage.py` under a friendlier name.

Exit codes: 0 done, 2 unexpected error, 3 called wrongly, 130 interrupted; `scan` and
`doctor` add their own. A traceback is printed only with `--traceback`.
"""

from __future__ import annotations

import difflib
import io
import os
import sys
import traceback
from types import TracebackType

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import ManagementUtility, get_commands
from django.core.management.base import BaseCommand

FAILURE = 2
USAGE = 3
INTERRUPTED = 130

# What `sentrascan` alone prints; the order is that of a first day.
COMMANDS = {
    "scan": "scan files, folders or MCP configurations and judge them",
    "report": "write a finished scan as SARIF, CycloneDX, JUnit, HTML, CSV or JSON",
    "attest": "write the signed verdict of a finished scan, or the public key",
    "verify": "check offline that an attestation holds for some bytes",
    "doctor": "run a detection through every scanner, check the installation",
    "auth": "create, list, revoke and rotate API keys",
    "target": "show what is scanned under one name, its verdicts and its findings",
    "baseline": "make a baseline of a scan, review, approve and compare baselines",
    "policy": "list, show, import, export policies; what one would change",
    "catalogue": "list the rules of all scanners; what an installed tool has beyond",
    "waiver": "accept a finding until a moment, list and delete waivers",
    "user": "create a user of the console",
    "prune": "remove scans older than an age, and the bytes that nothing needs",
    "backup": "write everything that this installation knows into one file",
    "restore": "make this installation what a backup says, or change nothing",
    "serve": "run the web server",
    "worker": "run the scans of the queue (--housekeeping: the timed tasks)",
    "migrate": "bring the database up to date",
}


class Utility(ManagementUtility):
    """Django's, with our exit code for a command that does not exist."""

    def fetch_command(self, subcommand: str) -> BaseCommand:
        # Wrong settings know no apps: say that, not that the command is unknown.
        _ = settings.INSTALLED_APPS
        known = get_commands()
        if subcommand not in known:
            near = difflib.get_close_matches(subcommand, [*COMMANDS, *known], 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            sys.stderr.write(
                f"sentrascan: there is no command {subcommand!r}.{hint}\n"
                "`sentrascan` alone lists the commands.\n"
            )
            raise SystemExit(USAGE)
        return super().fetch_command(subcommand)


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit code, or raise `SystemExit` with it."""
    arguments = list(sys.argv if argv is None else argv)
    speak_utf8()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sentrascan_project.settings")
    if "--traceback" not in arguments:
        sys.excepthook = in_one_line
    if len(arguments) < 2 or arguments[1:] in (["help"], ["--help"], ["-h"]):
        sys.stdout.write(help_text())
        return 0
    if arguments[1:] in (["version"], ["--version"]):
        sys.stdout.write(f"sentrascan {settings.VERSION}\n")
        return 0
    arguments[0] = "sentrascan"
    try:
        Utility(arguments).execute()
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted.\n")
        return INTERRUPTED
    except BrokenPipeError:
        # `sentrascan ... | head`: nobody reads any more, also not at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    return 0


def help_text() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{does}" for name, does in COMMANDS.items()]
    return "\n".join(
        [
            "SentraScan: security scans of ML models and MCP servers.",
            "",
            "usage: sentrascan COMMAND [OPTIONS]",
            "",
            *lines,
            "",
            "`sentrascan COMMAND --help` explains one of them.",
            "",
        ]
    )


def speak_utf8() -> None:
    """Print UTF-8 whatever the locale says; what cannot be encoded is escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def in_one_line(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Say what nobody expected in one line and end with 2: the `sys.excepthook`."""
    reason = " ".join(str(error).split()) or kind.__name__
    if isinstance(error, ImproperlyConfigured):
        sys.stderr.write(f"sentrascan: the configuration is wrong: {reason}\n")
    else:
        frames = traceback.extract_tb(trace)
        place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
        sys.stderr.write(
            f"sentrascan: {kind.__name__}: {reason}{place}. "
            "With --traceback it says more.\n"
        )
    # Python takes the exit code from here: the only one a hook can give.
    raise SystemExit(FAILURE)


if __name__ == "__main__":
    sys.exit(main())
