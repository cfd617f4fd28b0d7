"""Whether an attestation holds for some bytes, by a key that the reader trusts. Pure.

Nothing of it is read before its signature is right. Each refusal has its reason; what
is no attestation at all is an error, and never a refusal that one might get used to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from scanners import strict_json
from scans.attestation import envelope
from scans.attestation.statement import PAYLOAD_TYPE, PREDICATE_TYPE, STATEMENT_TYPE
from scans.choices import Verdict

# Clocks of two hosts are never quite the same.
SKEW = timedelta(minutes=5)
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Disproved(Exception):
    """It is an attestation, and does not hold here; the message says why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the reader asks of a policy; empty parts ask nothing."""

    name: str = ""
    version: int | None = None
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Attested:
    """What a statement says, read from a payload whose signature was right."""

    target: str
    sha256: str
    digest_of: str
    verdict: str
    issued_at: datetime
    expires_at: datetime
    policy_name: str
    policy_version: int
    policy_sha256: str
    predicate: Mapping[str, Any]

    @property
    def policy(self) -> str:
        return f"{self.policy_name} v{self.policy_version}"


def read(raw: bytes, key: Ed25519PublicKey) -> Attested:
    """Return what `key` has attested; raise `Disproved` or `envelope.Unreadable`."""
    try:
        payload = envelope.opened(raw, PAYLOAD_TYPE, key)
    except envelope.NotSigned as error:
        raise Disproved("it was not signed with this key, or was changed") from error
    try:
        statement = strict_json.parse(payload)
        return _attested(statement)
    except strict_json.DocumentError as error:
        raise envelope.Unreadable(error.message) from error
    except (KeyError, TypeError, ValueError) as error:
        raise envelope.Unreadable("its statement is not one of ours") from error


def check(
    attested: Attested,
    sha256: str,
    *,
    now: datetime,
    wanted: Wanted,
    any_verdict: bool = False,
) -> None:
    """Raise `Disproved` unless it holds now, for these bytes and this policy.

    `sha256` is theirs, of what `Attested.digest_of` says.
    """
    if attested.sha256 != sha256:
        raise Disproved("it is about other bytes than these")
    if attested.issued_at > now + SKEW:
        raise Disproved(f"it is of the future ({attested.issued_at:%Y-%m-%d %H:%M})")
    if attested.expires_at <= now:
        raise Disproved(f"it expired at {attested.expires_at:%Y-%m-%d %H:%M} UTC")
    _check_policy(attested, wanted)
    if attested.verdict != Verdict.PASS and not any_verdict:
        raise Disproved(
            f"it is genuine, and its verdict is {attested.verdict} "
            f"by the policy {attested.policy}"
        )


def _check_policy(attested: Attested, wanted: Wanted) -> None:
    if wanted.name and wanted.name != attested.policy_name:
        raise Disproved(f"it was judged by the policy {attested.policy}")
    if wanted.version is not None and wanted.version != attested.policy_version:
        raise Disproved(f"it was judged by the policy {attested.policy}")
    if wanted.sha256 and wanted.sha256 != attested.policy_sha256:
        raise Disproved(f"the policy {attested.policy} had other rules than this file")


def _attested(statement: Any) -> Attested:
    """Read a statement; raise `KeyError`, `TypeError` or `ValueError`."""
    if statement["_type"] != STATEMENT_TYPE:
        raise ValueError("another kind of statement")
    if statement["predicateType"] != PREDICATE_TYPE:
        raise ValueError("another kind of predicate")
    [subject] = statement["subject"]
    said = statement["predicate"]
    policy = said["policy"]
    return Attested(
        target=_text(subject["name"]),
        sha256=_sha256(subject["digest"]["sha256"]),
        digest_of=_text(said["digest_of"]),
        verdict=Verdict(said["verdict"]),
        issued_at=_moment(said["issued_at"]),
        expires_at=_moment(said["expires_at"]),
        policy_name=_text(policy["name"]),
        policy_version=int(policy["version"]),
        policy_sha256=_sha256(policy["sha256"]),
        predicate=said,
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _sha256(value: object) -> str:
    text = _text(value)
    if not _DIGEST.fullmatch(text):
        raise ValueError("no SHA-256")
    return text


def _moment(value: object) -> datetime:
    when = datetime.fromisoformat(_text(value))
    if when.tzinfo is None:
        raise ValueError("a moment without its offset")
    return when.astimezone(UTC)
