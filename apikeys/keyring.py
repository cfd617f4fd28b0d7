"""What a door may ask of keys: each change with its audit event, in one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import timedelta

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.request import Request

from apikeys.audit import Actor, record
from apikeys.models import ApiKey
from apikeys.models.api_keys import ApiKeyQuerySet

DEFAULT_GRACE_HOURS = 24
MAX_GRACE_HOURS = 24 * 90
MAX_EXPIRY_DAYS = 3650

type AnyRequest = HttpRequest | Request


@transaction.atomic
def create(
    *,
    name: str,
    role: str,
    actor: Actor,
    expires_in_days: int | None = None,
    request: AnyRequest | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; return it and its clear text. Raises what `issue` raises."""
    expires_at = (
        None
        if expires_in_days is None
        else timezone.now() + timedelta(days=expires_in_days)
    )
    key, plain = ApiKey.objects.issue(
        name=name, role=role, created_by=actor.name, expires_at=expires_at
    )
    detail = {"name": key.name, "role": key.role, "expires_at": _text(key)}
    _record("create", key, actor, request, detail)
    return key, plain


@transaction.atomic
def rotate(
    key: ApiKey,
    *,
    actor: Actor,
    grace_hours: int = DEFAULT_GRACE_HOURS,
    request: AnyRequest | None = None,
) -> tuple[ApiKey, str]:
    """Give `key` a successor; return that and its clear text. Raises NotLive."""
    successor, plain = ApiKey.objects.rotate(key, grace_hours, actor.name)
    detail = {
        "name": key.name,
        "successor": str(successor.pk),
        "grace_hours": grace_hours,
    }
    _record("rotate", key, actor, request, detail)
    return successor, plain


@transaction.atomic
def revoke(
    name_or_id: str | uuid.UUID, *, actor: Actor, request: AnyRequest | None = None
) -> int:
    """Revoke all keys of a name, or one by its id; return how many died of it."""
    died = ApiKey.objects.revoke(name_or_id)
    for key in died:
        _record("revoke", key, actor, request, {"name": key.name})
    return len(died)


@transaction.atomic
def revoke_each(
    keys: ApiKeyQuerySet, *, actor: Actor, request: AnyRequest | None = None
) -> int:
    """Revoke the chosen keys; return how many died of it."""
    died = keys.revoke_each()
    for key in died:
        _record("revoke", key, actor, request, {"name": key.name})
    return len(died)


def _record(
    verb: str,
    key: ApiKey,
    actor: Actor,
    request: AnyRequest | None,
    detail: Mapping[str, object],
) -> None:
    record(
        f"api_key.{verb}",
        actor=actor,
        object_type="api_key",
        object_id=key.pk,
        detail=detail,
        request=request,
    )


def _text(key: ApiKey) -> str | None:
    return key.expires_at.isoformat() if key.expires_at else None
