"""What is said of a target: an in-toto statement with a predicate of our own. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import rfc8785

from scans.gate import with_defaults

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
PREDICATE_TYPE = "urn:sentrascan:predicate:scan-verdict:1"

type Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """The scan as the API answers it, and what it does not say.

    `digest_of` is what the target's digest is that of: `file`, `listing` or `document`.
    """

    scan: Row
    runs: Sequence[Row]
    digest_of: str
    policy: Mapping[str, Any]
    rules: str
    expires_at: datetime


def write(facts: Facts) -> bytes:
    """Return the statement in canonical form: the same scan is always the same bytes.

    Raises `ValueError` for a name that no canonical JSON can carry.
    """
    scan = facts.scan
    return rfc8785.dumps(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": scan["target"], "digest": {"sha256": scan["digest"]}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "scan_id": str(scan["scan_id"]),
                "scan_type": scan["scan_type"],
                "digest_of": facts.digest_of,
                "verdict": scan["verdict"],
                "reasons": scan["reasons"],
                "issued_at": moment(scan["finished_at"]),
                "expires_at": moment(facts.expires_at),
                "policy": {
                    **scan["policy"],
                    "sha256": policy_digest(facts.policy),
                },
                "baseline_id": _text(scan["baseline_id"]),
                "rules_sha256": facts.rules or None,
                "findings": {
                    "total": scan["total_findings"],
                    "waived": len(scan["waivers"]),
                    **{level: scan[f"{level}_count"] for level in LEVELS},
                },
                "waivers": [_waiver(waiver) for waiver in scan["waivers"]],
                "scanners": [_scanner(run) for run in facts.runs],
            },
        }
    )


LEVELS = ("critical", "high", "medium", "low", "info")


def policy_digest(document: Mapping[str, Any]) -> str:
    """Return the digest of what a policy means: absent keys have their values."""
    return hashlib.sha256(rfc8785.dumps(with_defaults(document))).hexdigest()


def moment(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _scanner(run: Row) -> dict[str, Any]:
    seen = run["coverage"] or {}
    counted = ("files_total", "files_scanned", "files_inert", "bytes_scanned")
    return {
        "scanner": run["scanner"],
        "tool_version": run["tool_version"],
        "lock_sha256": run["lock_digest"] or None,
        "status": run["status"],
        "sandbox": run["sandbox"],
        "reused_from": _text(run["reused_from"]),
        "coverage": {
            "complete": bool(seen.get("complete")),
            **{name: seen.get(name, 0) for name in counted},
            "skipped": len(seen.get("skipped", ())),
        },
    }


def _waiver(waiver: Row) -> dict[str, Any]:
    return {
        "waiver_id": str(waiver["waiver_id"]),
        "fingerprint": waiver["fingerprint"],
        "created_by": waiver["created_by"],
        "expires_at": moment(waiver["expires_at"]),
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)
