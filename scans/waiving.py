"""What a door may ask for a waiver: accept a risk for a time, and take that back."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from apikeys import audit
from apikeys.audit import Actor
from scans.choices import NotFound, Refused
from scans.models import Waiver
from scans.waivers import EVERY_TARGET, FINGERPRINT

MAX_REASON = 2_000
MAX_TARGET = 500


def create(
    *,
    fingerprint: str,
    reason: str,
    expires_at: datetime,
    target: str = EVERY_TARGET,
    actor: Actor,
    request: HttpRequest | None = None,
) -> Waiver:
    """Accept the weakness of `fingerprint`, on one target or on all, until then.

    What was judged before stays as it is: the scan has to be made again. Raises
    `Refused` naming the field; `expires_at` must have a time zone.
    """
    if not re.fullmatch(FINGERPRINT, fingerprint):
        raise Refused("fingerprint", "a fingerprint is v1: and 64 hexadecimal digits")
    if len(target) > MAX_TARGET or not (target == EVERY_TARGET or target.isprintable()):
        raise Refused("target", f"a name has at most {MAX_TARGET} printable characters")
    if not reason.strip() or len(reason) > MAX_REASON or "\x00" in reason:
        raise Refused("reason", f"say why, in 1 to {MAX_REASON} characters")
    if expires_at <= timezone.now():
        raise Refused("expires_at", "this moment is over: a waiver ends in the future")
    with transaction.atomic():
        waiver = Waiver.objects.create(
            fingerprint=fingerprint,
            target=target,
            reason=reason.strip(),
            expires_at=expires_at,
            created_by=actor.name,
        )
        _audit("waiver.create", waiver, actor, request)
    return waiver


def create_each(
    risks: Iterable[tuple[str, str]],
    *,
    reason: str,
    expires_at: datetime,
    actor: Actor,
    request: HttpRequest | None = None,
) -> list[Waiver]:
    """Accept pairs of a fingerprint and a target for one reason: all of them or none.

    Raises what `create` raises.
    """
    with transaction.atomic():
        return [
            create(
                fingerprint=fingerprint,
                target=target,
                reason=reason,
                expires_at=expires_at,
                actor=actor,
                request=request,
            )
            for fingerprint, target in risks
        ]


def delete(
    waiver_id: uuid.UUID, *, actor: Actor, request: HttpRequest | None = None
) -> None:
    """End a waiver now; the event keeps what it said. Raises `NotFound`."""
    with transaction.atomic():
        waiver = Waiver.objects.filter(pk=waiver_id).first()
        if waiver is None or not Waiver.objects.filter(pk=waiver_id).delete()[0]:
            raise NotFound("There is no such waiver")
        _audit("waiver.delete", waiver, actor, request)


def _audit(
    action: str, waiver: Waiver, actor: Actor, request: HttpRequest | None
) -> None:
    detail: dict[str, Any] = {
        "fingerprint": waiver.fingerprint,
        "target": waiver.target or None,
        "reason": waiver.reason,
        "expires_at": waiver.expires_at.isoformat(),
        "created_by": waiver.created_by,
    }
    audit.record(
        action,
        actor=actor,
        object_type="waiver",
        object_id=waiver.pk,
        detail=detail,
        request=request,
    )
