"""The keys of machines that call us."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Self

from django.core.validators import RegexValidator
from django.db import IntegrityError, connections, models, transaction
from django.db.models import Q
from django.db.models.functions import Trim
from django.utils import timezone

from apikeys import keys
from apikeys.choices import KeyState, Role
from apikeys.prepared import preparing

LAST_USED_RESOLUTION = timedelta(minutes=1)
_UUID = r"\A[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\Z"
# Every request runs it: written out, and prepared by the driver, it takes a quarter of
# the time of a built one.
# In the order of the model's fields, as from_db() takes them.
_KEY_COLUMNS = (
    "key_id",
    "name",
    "role",
    "is_revoked",
    "created_at",
    "expires_at",
    "last_used_at",
    "grace_until",
    "public_id",
    "digest",
)
_BY_PUBLIC_ID = f"SELECT {', '.join(_KEY_COLUMNS)} FROM api_keys WHERE public_id = %s"  # noqa: S608 - our own names
_LIVE_NAME = "apikeys_apikey_live_name"


class DuplicateName(Exception):
    """A live key has this name already."""


class NotLive(Exception):
    """The key is revoked, expired or replaced: it cannot be rotated."""


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def active(self) -> Self:
        """Keys that open the door now."""
        now = timezone.now()
        return self.filter(
            Q(expires_at__isnull=True) | Q(expires_at__gt=now),
            Q(grace_until__isnull=True) | Q(grace_until__gt=now),
            is_revoked=False,
        )

    def unrevoked(self) -> Self:
        return self.filter(is_revoked=False)

    def called(self, name_or_id: str | uuid.UUID) -> Self:
        """Every key of that name, or the one with that id."""
        key_id = _uuid(name_or_id)
        return (
            self.filter(name=name_or_id) if key_id is None else self.filter(pk=key_id)
        )

    def issue(
        self,
        *,
        name: str,
        role: str,
        created_by: str = "",
        expires_at: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """Make a key; return its row and, this once, its clear text.

        Raises ValidationError for a bad name or role, DuplicateName when a live key
        has the name. A key that has run out gives its name back: it is revoked.
        """
        plain = keys.generate()
        key = self.model(
            name=name,
            role=role,
            created_by=created_by,
            expires_at=expires_at,
            public_id=plain.public_id,
            digest=plain.digest,
        )
        key.clean_fields()
        with transaction.atomic(using=self.db):
            self.filter(name=name, expires_at__lte=timezone.now()).revoke_each()
            self._insert_key(key)
        return key, plain.text

    def authenticate(self, plain: str) -> ApiKey | None:
        """Return the key that this text is and that is good now, or None.

        One SELECT by the index of `public_id`; none for what fails its checksum.
        """
        presented = keys.parse(plain)
        if presented is None:
            return None
        key = self._with_public_id(presented.public_id)
        if key and presented.has_digest(key.digest) and key.is_active:
            return key
        return None

    def revoke(self, name_or_id: str | uuid.UUID) -> list[ApiKey]:
        """Revoke a rotated pair and all by its name, or one key by its id.

        Returns the keys that died of it.
        """
        # Again until nothing is left: who waited for a rotation to commit has not
        # seen the row which that rotation added.
        died: list[ApiKey] = []
        while keys_of_it := self.called(name_or_id).revoke_each():
            died += keys_of_it
        return died

    def revoke_each(self) -> list[ApiKey]:
        """Revoke the keys of this query; return those that were not yet."""
        with transaction.atomic(using=self.db):
            # Held, so that of two who revoke at once one has done it; in one order,
            # so that neither waits for the other.
            held = self.unrevoked().select_for_update(of=("self",), no_key=True)
            died = list(held.order_by("pk"))
            self.model.objects.filter(pk__in=[key.pk for key in died]).update(
                is_revoked=True, revoked_at=timezone.now()
            )
        return died

    def rotate(
        self, key: ApiKey, grace_hours: int, created_by: str = ""
    ) -> tuple[ApiKey, str]:
        """Make the successor of `key`; the old one ends after `grace_hours`.

        Both have the same name and role. A key with an expiry gets a successor with
        the same length of life. Raises NotLive for a key that is not good any more
        or has a successor already.
        """
        now = timezone.now()
        plain = keys.generate()
        successor = self.model(
            name=key.name,
            role=key.role,
            created_by=created_by,
            expires_at=key.expires_at and now + (key.expires_at - key.created_at),
            rotated_from=key,
            public_id=plain.public_id,
            digest=plain.digest,
        )
        with transaction.atomic(using=self.db):
            replaced = (
                self.active()
                .filter(pk=key.pk, grace_until__isnull=True)
                .update(grace_until=now + timedelta(hours=grace_hours))
            )
            if not replaced:
                raise NotLive
            self._insert_key(successor)
        return successor, plain.text

    def mark_used(self, key: ApiKey, address: str) -> None:
        """Write when and from where, at most once a minute a key."""
        now = timezone.now()
        if key.last_used_at and now - key.last_used_at < LAST_USED_RESOLUTION:
            return
        # The condition again: of many requests at once, one writes.
        stale = self.filter(
            Q(last_used_at__isnull=True)
            | Q(last_used_at__lte=now - LAST_USED_RESOLUTION),
            pk=key.pk,
        )
        with transaction.atomic(using=self.db):
            stale.update(last_used_at=now, last_used_ip=address or None)

    def _with_public_id(self, public_id: str) -> ApiKey | None:
        connection = connections[self.db]
        with connection.cursor() as cursor, preparing(connection):
            cursor.execute(_BY_PUBLIC_ID, [public_id])
            row = cursor.fetchone()
        if row is None:
            return None
        # PostgreSQL's values are the fields' own; SQLite has neither UUIDs nor times.
        values = row if connection.vendor == "postgresql" else self._converted(row)
        return self.model.from_db(self.db, _KEY_COLUMNS, values)

    def _converted(self, row: Sequence[Any]) -> list[Any]:
        connection = connections[self.db]
        values = list(row)
        fields = [f for f in self.model._meta.concrete_fields if f.name in _KEY_COLUMNS]
        for index, column in enumerate(field.cached_col for field in fields):
            for convert in connection.ops.get_db_converters(column):
                values[index] = convert(values[index], column, connection)
        return values

    def _insert_key(self, key: ApiKey) -> None:
        try:
            with transaction.atomic(using=self.db):
                key.save(force_insert=True, using=self.db)
        except IntegrityError as error:
            # PostgreSQL names the constraint, SQLite the column.
            if _LIVE_NAME in str(error) or "api_keys.name" in str(error):
                raise DuplicateName(key.name) from error
            raise


def _uuid(text: str | uuid.UUID) -> uuid.UUID | None:
    if isinstance(text, uuid.UUID):
        return text
    return uuid.UUID(text) if re.fullmatch(_UUID, text) else None


class ApiKey(models.Model):
    """Who a machine is. `is_revoked` alone is enough to end it, by raw SQL too."""

    key_id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(
        max_length=100,
        validators=[
            RegexValidator(
                r"\A[A-Za-z0-9](?:[A-Za-z0-9 ._@:/+-]*[A-Za-z0-9._@:/+-])?\Z",
                "A name begins with a letter or digit and goes on with letters, "
                "digits, blanks inside and . _ @ : / + -",
            ),
            # `auth revoke NAME|ID` would not know which is meant.
            RegexValidator(
                _UUID, "A name must not look like an id.", inverse_match=True
            ),
        ],
    )
    role = models.CharField(max_length=10, choices=Role)
    is_revoked = models.BooleanField(default=False, db_default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_ip = models.GenericIPAddressField(null=True, blank=True)
    created_by = models.CharField(max_length=200, blank=True)
    # An old one that is deleted leaves its successor alone.
    rotated_from = models.ForeignKey(
        "self", models.DB_SET_NULL, null=True, blank=True, related_name="successors"
    )
    # Set once the key has a successor: the end of the older of the two.
    grace_until = models.DateTimeField(null=True, blank=True)
    # Ours only: NULL for a key that an operator revoked by SQL.
    revoked_at = models.DateTimeField(null=True, blank=True)
    public_id = models.CharField(max_length=keys.PUBLIC_ID_LENGTH, unique=True)
    digest = models.CharField(max_length=64)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        db_table = "api_keys"
        ordering = ["-created_at", "-key_id"]
        verbose_name = "API key"
        constraints = [
            # Setting is_revoked only takes rows out of it: it can never refuse that.
            models.UniqueConstraint(
                fields=["name"],
                condition=Q(is_revoked=False, grace_until__isnull=True),
                name=_LIVE_NAME,
            ),
            models.CheckConstraint(
                condition=Q(role__in=Role.values), name="apikeys_apikey_role_known"
            ),
            # No regular expression: the plain sqlite3 program may not have them.
            models.CheckConstraint(
                condition=~Q(name="") & Q(name=Trim("name")),
                name="apikeys_apikey_name_trimmed",
            ),
        ]
        indexes = [
            # The list of keys, newest first.
            models.Index(
                fields=["-created_at", "-key_id"], name="apikeys_apikey_newest"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_active(self) -> bool:
        return self.state in {KeyState.ACTIVE, KeyState.GRACE}

    @property
    def state(self) -> KeyState:
        now = timezone.now()
        if self.is_revoked:
            return KeyState.REVOKED
        if self.expires_at and self.expires_at <= now:
            return KeyState.EXPIRED
        if self.grace_until:
            return KeyState.GRACE if self.grace_until > now else KeyState.REPLACED
        return KeyState.ACTIVE
