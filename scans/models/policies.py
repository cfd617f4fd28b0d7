"""Rule books of the gate: a new version instead of an edit."""

from __future__ import annotations

from typing import Self

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Exists, OuterRef
from django.utils import timezone

from scans.gate import DEFAULT_DOCUMENT, PolicyError, PolicyRules
from scans.ids import uuid7

BUILT_IN = "default"


class PolicyQuerySet(models.QuerySet["Policy"]):
    def newest(self, name: str) -> Policy | None:
        """Return the newest version; the built-in policy exists by being asked for."""
        if not name.isprintable():
            return None  # PostgreSQL cannot even be asked for a NUL
        if newest := self.filter(name=name).order_by("-version").first():
            return newest
        return self.built_in() if name == BUILT_IN else None

    def locked(self, name: str) -> Policy | None:
        """Return the newest version; until the transaction ends nobody makes another.

        The oldest row is the lock: unlike the newest it is the same for all who wait.
        """
        if self.newest(name) is None:
            return None
        self.select_for_update().filter(name=name).order_by("version").first()
        return self.newest(name)

    def current(self) -> Self:
        """The newest version of each."""
        newer = self.filter(name=OuterRef("name"), version__gt=OuterRef("version"))
        return self.filter(~Exists(newer))

    def built_in(self) -> Policy:
        policy, _ = self.get_or_create(
            name=BUILT_IN,
            version=1,
            defaults={"document": DEFAULT_DOCUMENT, "created_by": "system"},
        )
        return policy


class Policy(models.Model):
    """One version of a policy document; rows are written once and never edited."""

    policy_id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100)
    version = models.PositiveIntegerField(default=1)
    document = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.CharField(max_length=200, blank=True)

    objects = PolicyQuerySet.as_manager()

    class Meta:
        db_table = "policies"
        ordering = ["name", "-version"]
        verbose_name_plural = "policies"
        constraints = [
            models.UniqueConstraint(
                fields=["name", "version"], name="scans_policy_version_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"

    def clean(self) -> None:
        try:
            PolicyRules.from_document(self.document)
        except PolicyError as error:
            raise ValidationError({"document": str(error)}) from error
