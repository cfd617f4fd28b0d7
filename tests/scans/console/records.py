"""Rows of what people decide, for pages that list them."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.utils import timezone

from apikeys import keyring
from apikeys.audit import COMMAND_LINE
from scans import policies, waiving
from scans.models import Baseline, Target, Waiver, Worker
from scans.snapshots import FORMAT
from tests.scans.api_samples import make_finding, make_scan, remember


def print_of(number: int) -> str:
    return f"v1:{number:064x}"


def key_of(number: int) -> uuid.UUID:
    """The id of the row that `decide` makes with this number."""
    return uuid.UUID(int=number)


def make_target(name: str = "m", scan_type: str = "model") -> Target:
    return Target.objects.get_or_create(scan_type=scan_type, name=name)[0]


def make_waiver(number: int = 0, *, days: int = 30, **fields: str) -> Waiver:
    """Make a waiver that ends in `days`; a negative number is in the past."""
    waiver = waiving.create(
        fingerprint=fields.get("fingerprint", print_of(number)),
        target=fields.get("target", ""),
        reason=fields.get("reason", "known"),
        expires_at=timezone.now() + timedelta(days=max(days, 1)),
        actor=COMMAND_LINE,
    )
    if days < 0:
        ended = timezone.now() + timedelta(days=days)
        Waiver.objects.filter(pk=waiver.pk).update(expires_at=ended)
    return waiver


def decide(number: int) -> None:
    """One more row on each page of this room."""
    keyring.create(name=f"key{number}", role="scanner", actor=COMMAND_LINE)
    make_waiver(number)
    target, _ = Target.objects.get_or_create(
        scan_type="model", name="decided", defaults={"target_id": key_of(1)}
    )
    scan = make_scan(target="decided", target_record=target, minutes=number)
    # The same weakness again and again: its page says where else it is.
    make_finding(scan, 1, finding_id=key_of(number), created_at=scan.created_at)
    remember(target, number, last_scan_id=scan.pk, last_seen_at=scan.created_at)
    Baseline.objects.create(
        baseline_id=key_of(number),
        name=f"b{number}",
        scan=scan,
        scan_type="model",
        target="decided",
        status="active" if not number else "proposed",
        snapshot={"elements": [], "document": {"format": FORMAT, "definitions": {}}},
    )
    policies.revise("default", {"only_new": bool(number % 2)}, actor=COMMAND_LINE)
    Worker.objects.create(name=f"host:{number}")
