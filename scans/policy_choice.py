"""What a door may ask about the policies of those who name none."""

from __future__ import annotations

import uuid

from django.db import IntegrityError, transaction
from django.http import HttpRequest

from apikeys import audit
from apikeys.audit import Actor
from scanners.contract import TargetKind
from scans.choices import Conflict, NotFound, Refused
from scans.models import Policy, PolicyDefault
from scans.models.policy_defaults import EVERY_TARGET

MAX_PATTERN = 200
# Each star may try every place of a name; a few are enough to say where things lie.
MAX_STARS = 5


def create(
    *,
    scan_type: str,
    policy: str,
    pattern: str = EVERY_TARGET,
    actor: Actor,
    request: HttpRequest | None = None,
) -> PolicyDefault:
    """Let `policy` judge what names none and matches; raise `Refused` or `Conflict`."""
    if scan_type not in TargetKind.values:
        raise Refused("scan_type", f"one of {', '.join(TargetKind.values)}")
    if not pattern or len(pattern) > MAX_PATTERN or not pattern.isprintable():
        raise Refused("pattern", f"1 to {MAX_PATTERN} printable characters")
    if pattern.count("*") > MAX_STARS:
        raise Refused("pattern", f"at most {MAX_STARS} stars")
    if Policy.objects.newest(policy) is None:
        raise Refused("policy", f"there is no policy {policy!r}")
    try:
        with transaction.atomic():
            row = PolicyDefault.objects.create(
                scan_type=scan_type,
                pattern=pattern,
                policy_name=policy,
                created_by=actor.name,
            )
            _audit("policy_default.create", row, actor, request)
    except IntegrityError as error:
        said = f"There is a default for {scan_type} {pattern} already"
        raise Conflict(said) from error
    return row


def delete(
    default_id: uuid.UUID, *, actor: Actor, request: HttpRequest | None = None
) -> None:
    """Take a default back; raise `NotFound`."""
    with transaction.atomic():
        row = PolicyDefault.objects.filter(pk=default_id).first()
        if row is None or not PolicyDefault.objects.filter(pk=row.pk).delete()[0]:
            raise NotFound("There is no such default")
        _audit("policy_default.delete", row, actor, request)


def _audit(
    action: str, row: PolicyDefault, actor: Actor, request: HttpRequest | None
) -> None:
    audit.record(
        action,
        actor=actor,
        object_type="policy_default",
        object_id=row.pk,
        detail={
            "scan_type": row.scan_type,
            "pattern": row.pattern,
            "policy": row.policy_name,
        },
        request=request,
    )
