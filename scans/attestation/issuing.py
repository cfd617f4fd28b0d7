"""From the rows of a finished scan to its signed attestation.

Made when it is asked for and stored nowhere: key and rows are all it needs, and the
same rows give the same bytes, signature included (RFC 8032 is deterministic).
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from scanners.contract import TargetKind
from scans import sealing
from scans.attestation import envelope, statement
from scans.attestation.statement import Facts
from scans.choices import Conflict, NotFound
from scans.exports.shapes import Row, read_scan_detail
from scans.gate import DEFAULT_DOCUMENT
from scans.models import FINISHED, Policy, ScannerRun, ScanSnapshot, Waiver
from scans.models.policies import BUILT_IN
from scans.models.scans import Scan
from scans.sealing import Purpose

RUN_COLUMNS = (
    *("scanner", "tool_version", "lock_digest", "status", "sandbox", "reused_from"),
    "coverage",
)


def attest(scan_id: uuid.UUID) -> envelope.Document:
    """Return the signed verdict of a scan.

    Raises `NotFound`, `Conflict` where there is no verdict on any bytes, or none that
    still holds, and `sealing.KeyLost`.
    """
    scan = read_scan_detail(scan_id)
    if scan is None:
        raise NotFound("There is no such scan")
    _check(scan)
    runs = ScannerRun.objects.filter(scan_id=scan_id).order_by("scanner")
    rules = Scan.objects.filter(pk=scan_id).values_list("rules", flat=True)
    facts = Facts(
        scan=scan,
        runs=list(runs.values(*RUN_COLUMNS)),
        digest_of=_digest_of(scan),
        policy=_policy_of(scan),
        rules=rules.first() or "",
        expires_at=_end_of(scan),
    )
    try:
        payload = statement.write(facts)
    except ValueError as error:
        raise Conflict("The names in this scan cannot be attested") from error
    return envelope.signed(payload, statement.PAYLOAD_TYPE, _key())


def public_key() -> envelope.Document:
    """Return the key that checks what is attested here; raise `sealing.KeyLost`."""
    return envelope.key_document(_key().public_key())


def _key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(sealing.derived(Purpose.ATTESTATION))


def _check(scan: Row) -> None:
    if scan["scan_status"] not in FINISHED:
        raise Conflict(f"The scan is {scan['scan_status']}: there is no verdict yet")
    if scan["verdict"] is None or scan["digest"] is None:
        raise Conflict("This scan has no verdict on any bytes: nothing to attest")
    wanted = {waiver["waiver_id"] for waiver in scan["waivers"]}
    # To sign it today would be to accept the risk again.
    held = Waiver.objects.in_force().filter(pk__in=wanted).count() if wanted else 0
    if held < len(wanted):
        raise Conflict("This verdict rests on a waiver that ended: scan again")


def _policy_of(scan: Row) -> dict[str, Any]:
    name, version = scan["policy"]["name"], scan["policy"]["version"]
    rows = Policy.objects.filter(name=name, version=version)
    row = rows.values_list("document", flat=True).first()
    if row is None and (name, version) != (BUILT_IN, 1):
        # Rows are never edited, but an operator may have deleted one.
        raise Conflict(f"The policy {name} v{version}, which judged it, is gone")
    return DEFAULT_DOCUMENT if row is None else row


def _end_of(scan: Row) -> datetime:
    lasts = timedelta(days=settings.ATTESTATION_DAYS)
    ends: list[datetime] = [scan["finished_at"] + lasts]
    ends += [waiver["expires_at"] for waiver in scan["waivers"]]
    return min(ends)


def _digest_of(scan: Row) -> str:
    """Say what the target's digest is the digest of (`scanners.workspace`)."""
    if scan["scan_type"] == TargetKind.MCP:
        return "document"
    kept = ScanSnapshot.objects.filter(scan_id=scan["scan_id"])
    elements = kept.values_list("elements", flat=True).first() or []
    is_file = len(elements) == 1 and elements[0].get("digest") == scan["digest"]
    return "file" if is_file else "listing"
