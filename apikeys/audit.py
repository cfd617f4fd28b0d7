"""Who did what, written in the transaction of what was done."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from rest_framework.request import Request

from apikeys.addresses import client_address
from apikeys.choices import ActorKind
from apikeys.models import AuditEvent


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a key's or user's name, or a part of the system."""

    kind: ActorKind
    name: str


COMMAND_LINE = Actor(ActorKind.SYSTEM, "command line")


def record(
    action: str,
    *,
    actor: Actor,
    object_type: str,
    object_id: str | uuid.UUID,
    detail: Mapping[str, Any] | None = None,
    request: HttpRequest | Request | None = None,
) -> AuditEvent:
    """Write one event; call it inside the transaction of the change.

    `action` is `<object>.<verb>`, such as `api_key.create`; `detail` takes what JSON
    takes and never a secret. Address and request id come from `request`.
    """
    return AuditEvent.objects.create(
        actor=actor.name,
        actor_kind=actor.kind,
        action=action,
        object_type=object_type,
        object_id=str(object_id),
        detail=dict(detail or {}),
        ip=client_address(request) or None if request else None,
        request_id=request_id_of(request),
    )


def request_id_of(request: HttpRequest | Request | None) -> str:
    """Return the id that the middleware gave the request, '' without one."""
    return str(getattr(request, "request_id", "") or "")[:128]
