"""`catalogue list|diff`: what we know of all rules, and what is new in a tool."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from apikeys.management.command import SentraCommand
from apikeys.management.tables import table
from scanners import rulebooks
from scanners.catalogue import SCANNERS, rules_of
from scanners.contract import Rule, ScannerError
from scans.management.quiet import hush_logs
from scans.management.reporting import plain
from scans.sandboxing import chosen_rung

LACKING = 1
HEADINGS = ("RULE", "SEVERITY", "CATEGORY", "CWE", "OWASP", "ATLAS", "TITLE")


class Command(SentraCommand):
    help = (
        "List the catalogue of rules, or compare it with what the installed tools "
        "have. `diff` exits 1 when a tool has a rule that the catalogue lacks."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        listed = verbs.add_parser("list", help="every rule, with severity and taxonomy")
        listed.add_argument("--scanner", choices=SCANNERS)
        compared = verbs.add_parser("diff", help="what the installed tools have beyond")
        compared.add_argument("--scanner", choices=rulebooks.TOOLS)
        compared.add_argument(
            "--installed-in",
            type=Path,
            metavar="DIR",
            help="another directory of tools, such as one with newer versions",
        )
        for verb in (listed, compared):
            verb.add_argument("--json", action="store_true", dest="is_json")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        hush_logs(options["verbosity"])
        {"list": self.show, "diff": self.compare}[verb](options)

    def show(self, options: dict[str, Any]) -> None:
        names = [options["scanner"]] if options["scanner"] else SCANNERS
        rules = [rule for name in names for rule in rules_of(name).values()]
        if options["is_json"]:
            self._print_json([_shape(rule) for rule in rules])
            return
        for line in table([HEADINGS, *(_cells(rule) for rule in rules)]):
            self.stdout.write(line)

    def compare(self, options: dict[str, Any]) -> None:
        names = [options["scanner"]] if options["scanner"] else rulebooks.TOOLS
        directory = options["installed_in"] or Path(settings.SCANNERS_DIR)
        found = {name: _difference(name, directory) for name in names}
        if options["is_json"]:
            self._print_json({name: _document(one) for name, one in found.items()})
        else:
            for name, one in found.items():
                for line in _lines(name, one):
                    self.stdout.write(line)
        if any(one.added for one in found.values()):
            sys.exit(LACKING)

    def _print_json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, indent=2))


def _difference(name: str, directory: Path) -> rulebooks.Difference:
    try:
        with tempfile.TemporaryDirectory(prefix="sentrascan-rules-") as run_dir:
            # The sandbox's user walks through it.
            Path(run_dir).chmod(0o711)
            return rulebooks.difference(
                name, directory, rung=chosen_rung().require(), run_dir=Path(run_dir)
            )
    except ScannerError as error:
        raise CommandError(f"{name}: {error}") from error


def _lines(name: str, found: rulebooks.Difference) -> list[str]:
    known = len(rules_of(name))
    lines = [f"{name} {found.version}: {len(found.added)} new, {known} catalogued"]
    for rule in found.added:
        weight = f" ({rule.severity})" if rule.severity else ""
        lines.append(f"  + {plain(rule.code)}{weight}: {plain(rule.title)}")
    lines += [f"  = {code}: ours, or no longer the tool's" for code in found.unlisted]
    return lines


def _document(found: rulebooks.Difference) -> dict[str, Any]:
    return {
        "version": found.version,
        "added": [
            {
                "code": rule.code,
                "title": rule.title,
                "severity": rule.severity or None,
                "from": rule.origin,
            }
            for rule in found.added
        ],
        "unlisted": list(found.unlisted),
    }


def _shape(rule: Rule) -> dict[str, Any]:
    return {
        "rule": rule.rule,
        "severity": rule.severity.name.lower(),
        "category": rule.category.value,
        "title": rule.title,
        "remediation": rule.remediation,
        "cwe": list(rule.cwe),
        "owasp_llm": list(rule.owasp_llm),
        "owasp_mcp": list(rule.owasp_mcp),
        "atlas": list(rule.atlas),
    }


def _cells(rule: Rule) -> tuple[str, ...]:
    return (
        rule.rule,
        rule.severity.name.lower(),
        rule.category.value,
        " ".join(rule.cwe),
        " ".join((*rule.owasp_llm, *rule.owasp_mcp)),
        " ".join(rule.atlas),
        rule.title,
    )
