"""What must not come back with a backup: who was shut out since stays out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User
from django.db import DatabaseError, connection
from django.utils import timezone

from apikeys.models import ApiKey, AuditEvent

# Of so many events one is enough to know an installation again.
EVENTS_COMPARED = 100_000


@dataclass(frozen=True, slots=True)
class Doors:
    """Who could come in, and who not any more: `keys` and `users` by id and name."""

    keys: dict[UUID, bool]
    users: dict[str, bool]
    events: frozenset[object]


@dataclass(slots=True)
class Shut:
    """Keys and users of a backup that were shut out after it was taken."""

    keys: list[str]
    users: list[str]


def doors() -> Doors | None:
    """Return those of the present database, None where they cannot be read.

    Of columns that every version has: the present one may be older or newer than us.
    """
    try:
        keys = {
            pk: not (is_revoked or _is_past(expires_at) or _is_past(grace_until))
            for pk, is_revoked, expires_at, grace_until in ApiKey.objects.values_list(
                "pk", "is_revoked", "expires_at", "grace_until"
            )
        }
        users = dict(User.objects.values_list("username", "is_active"))
        newest = AuditEvent.objects.values_list("pk", flat=True)[:EVENTS_COMPARED]
        return Doors(keys, users, frozenset(newest))
    except DatabaseError:
        return None
    finally:
        connection.close()


def shut(before: Doors | None) -> Shut:
    """Shut out here whom `before` does not let in; return the names.

    A key or user that is not there any more was deleted, unless the two have nothing in
    common: then this backup is of another installation.
    """
    if before is None:
        return Shut([], [])
    is_same = _is_same(before)
    live = ApiKey.objects.unrevoked()
    dead = [
        key
        for key in live.only("pk", "name", "public_id")
        if not before.keys.get(key.pk, not is_same)
    ]
    ApiKey.objects.filter(pk__in=[key.pk for key in dead]).revoke_each()
    gone = [
        user
        for user in User.objects.filter(is_active=True)
        if not before.users.get(user.username, not is_same)
    ]
    User.objects.filter(pk__in=[user.pk for user in gone]).update(is_active=False)
    return Shut(sorted(key.name for key in dead), sorted(u.username for u in gone))


def live_keys() -> int:
    return ApiKey.objects.active().count()


def _is_same(before: Doors) -> bool:
    here = set(ApiKey.objects.values_list("pk", flat=True))
    if here & before.keys.keys():
        return True
    events = AuditEvent.objects.values_list("pk", flat=True)[:EVENTS_COMPARED]
    return not before.events.isdisjoint(events)


def _is_past(moment: datetime | None) -> bool:
    return moment is not None and moment <= timezone.now()
