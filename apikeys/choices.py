"""The closed vocabularies of who may do what."""

from __future__ import annotations

from django.db.models import TextChoices


class Role(TextChoices):
    """What a caller may do, from least to most: each may all that is before it."""

    VIEWER = "viewer"
    SCANNER = "scanner"
    ADMIN = "admin"

    def covers(self, needed: Role) -> bool:
        """Tell whether this role may do what `needed` is asked for."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class ActorKind(TextChoices):
    KEY = "key"
    USER = "user"
    SYSTEM = "system"


class KeyState(TextChoices):
    """Why a key is good or not, for people; `ApiKeyQuerySet.active()` decides."""

    ACTIVE = "active"
    GRACE = "grace"  # replaced, good until `grace_until`
    REPLACED = "replaced"  # replaced, and its grace is over
    EXPIRED = "expired"
    REVOKED = "revoked"
