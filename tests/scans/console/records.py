"""Rows of what people decide, for pages that list them."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from apikeys import keyring
from apikeys.audit import COMMAND_LINE
from scans import policies, waiving
from scans.models import Waiver, Worker


def print_of(number: int) -> str:
    return f"v1:{number:064x}"


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
    policies.revise("default", {"only_new": bool(number % 2)}, actor=COMMAND_LINE)
    Worker.objects.create(name=f"host:{number}")
