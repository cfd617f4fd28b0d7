"""`sentrascan verify`: does an attestation hold for these bytes? Asks nobody."""

from __future__ import annotations

import re
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from django.core.management.base import CommandError, CommandParser

from apikeys.management.command import SentraCommand, UsageError
from scanners.archives import is_archive_name
from scanners.subjects import NoSubject, digest_of
from scans import policy_text
from scans.attestation import envelope, verification
from scans.attestation.statement import policy_digest
from scans.attestation.verification import Attested, Disproved, Wanted
from scans.gate import PolicyError, PolicyRules
from scans.management.quiet import hush_logs
from scans.management.reporting import plain
from scans.sandboxing import chosen_rung

REFUSED = 1
MAX_BYTES = 16 << 20
NAME = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,99})(@(?P<version>[0-9]+))?")


class Command(SentraCommand):
    help = (
        "Check offline that an attestation holds for a file, folder, archive or MCP "
        "document. Exit code: 0 it does and the verdict is pass, 1 it does not, "
        "2 something could not be read, 3 wrong usage."
    )
    # It runs where neither database nor scanner is.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path, metavar="PATH")
        parser.add_argument("--attestation", type=Path, required=True, metavar="FILE")
        parser.add_argument(
            "--key",
            type=Path,
            required=True,
            metavar="FILE",
            help="the public key that you trust: PEM, or /api/v1/attestation-key",
        )
        parser.add_argument(
            "--policy",
            metavar="P",
            help="refuse other policies: NAME, NAME@VERSION, or a .yaml with its rules "
            "(default: any policy is taken, and which it was is printed)",
        )
        parser.add_argument(
            "--any-verdict",
            action="store_true",
            help="take a genuine attestation whatever its verdict is",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        hush_logs(options["verbosity"])
        wanted = _wanted(options["policy"])
        key = _key(options["key"])
        raw = _read(options["attestation"])
        try:
            attested = verification.read(raw, key)
            verification.check(
                attested,
                _digest(options["path"], attested.digest_of),
                now=datetime.now(UTC),
                wanted=wanted,
                any_verdict=options["any_verdict"],
            )
        except envelope.Unreadable as error:
            self._refuse(f"it is no attestation of ours: {error}")
        except (Disproved, NoSubject) as error:
            self._refuse(str(error))
        for line in _lines(attested, is_policy_named=wanted != Wanted()):
            self.stdout.write(line)

    def _refuse(self, reason: str) -> NoReturn:
        self.stderr.write(f"Refused: {plain(reason)}")
        sys.exit(REFUSED)


def _wanted(policy: str | None) -> Wanted:
    if policy is None:
        return Wanted()
    if policy.endswith((".yaml", ".yml", ".json")) or "/" in policy:
        try:
            document = policy_text.read(_read(Path(policy)))
            PolicyRules.from_document(document)
        except (policy_text.PolicyTextError, PolicyError) as error:
            raise UsageError(f"{policy}: {error}") from error
        return Wanted(sha256=policy_digest(document))
    asked = NAME.fullmatch(policy)
    if asked is None:
        raise UsageError(f"--policy {policy!r} is no NAME, NAME@VERSION or .yaml file")
    version = asked["version"]
    return Wanted(asked["name"], int(version) if version else None)


def _key(path: Path) -> Any:
    try:
        return envelope.read_key(_read(path))
    except envelope.Unreadable as error:
        raise CommandError(f"{path}: {error}") from error


def _digest(path: Path, kind: str) -> str:
    # Nothing but an archive is unpacked, and nothing but that needs a sandbox.
    is_packed = kind == "listing" and is_archive_name(path.name)
    rung = chosen_rung().usable if is_packed else None
    try:
        with tempfile.TemporaryDirectory(prefix="sentrascan-verify-") as directory:
            return digest_of(path, kind, Path(directory), rung)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CommandError(f"{path}: cannot be read: {reason}") from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{path}: cannot be read: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise CommandError(f"{path}: is larger than {MAX_BYTES} bytes")
    return raw


def _lines(attested: Attested, *, is_policy_named: bool) -> list[str]:
    ends = f"{attested.expires_at:%Y-%m-%d %H:%M} UTC"
    said = attested.predicate
    lines = [
        f"✅ The attestation holds: {plain(attested.target)}",
        f"   sha256 {attested.sha256} ({attested.digest_of})",
        f"   verdict {attested.verdict}, policy {plain(attested.policy)}",
        f"   scan {plain(said.get('scan_id'))} of "
        f"{attested.issued_at:%Y-%m-%d %H:%M} UTC, holds until {ends}",
    ]
    if not is_policy_named:
        # A gate that forgot it would take the pass of the laxest policy for its own.
        exact = f"{plain(attested.policy_name)}@{attested.policy_version}"
        lines.append(
            "   ⚠️ no --policy was named, so a pass by any policy is taken: "
            f"--policy {exact} takes no other"
        )
    for run in said.get("scanners", []):
        seen = "complete" if run["coverage"]["complete"] else "not complete"
        words = (run["scanner"], run["tool_version"], run["status"], seen)
        lines.append("   " + ", ".join(plain(word) for word in words if word))
    return lines
