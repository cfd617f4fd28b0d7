"""Who did what."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from apikeys.choices import ActorKind


class AuditEvent(models.Model):
    """One change through a door; written in its transaction, never changed."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # Names as text: they outlive the key or user.
    actor = models.CharField(max_length=200)
    actor_kind = models.CharField(max_length=10, choices=ActorKind)
    action = models.CharField(max_length=60)
    object_type = models.CharField(max_length=60)
    object_id = models.CharField(max_length=200)
    detail = models.JSONField(default=dict)
    ip = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=128, blank=True)

    class Meta:
        db_table = "audit_events"
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(actor_kind__in=ActorKind.values),
                name="apikeys_auditevent_kind_known",
            ),
        ]
        indexes = [
            # GET /audit-events, newest first.
            models.Index(
                fields=["-created_at", "-id"], name="apikeys_auditevent_newest"
            ),
            # The same with ?actor=
            models.Index(
                fields=["actor", "-created_at", "-id"], name="apikeys_auditevent_actor"
            ),
            # The same with ?action=
            models.Index(
                fields=["action", "-created_at", "-id"],
                name="apikeys_auditevent_action",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.actor}: {self.action} {self.object_type} {self.object_id}"
