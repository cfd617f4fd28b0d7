"""What a POST with an `Idempotency-Key` was, and what it was answered."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Self

from django.db import IntegrityError, models, transaction
from django.utils import timezone

KEPT_FOR = timedelta(hours=24)
# Longer than any request works after its body is read; after that its process died.
LEASE = timedelta(minutes=10)


class IdempotencyRecordQuerySet(models.QuerySet["IdempotencyRecord"]):
    def expired(self) -> Self:
        return self.filter(created_at__lte=timezone.now() - KEPT_FOR)

    def claim(
        self, owner: str, key: str, fingerprint: str
    ) -> tuple[IdempotencyRecord, bool]:
        """Return the record of `key`, and whether the caller is the one to execute.

        Exactly one of any number of callers at once gets True, whatever process it
        is in. A record past its time, or of a request that died, is taken over.
        """
        record = self.model(owner=owner, idempotency_key=key, fingerprint=fingerprint)
        try:
            with transaction.atomic(using=self.db):
                record.save(force_insert=True, using=self.db)
        except IntegrityError:
            known = self.filter(owner=owner, idempotency_key=key).first()
            if known is None:  # freed in between: the next try is the client's
                return record, False
            return known, self._take_over(known, fingerprint)
        return record, True

    def keep(
        self,
        record: IdempotencyRecord,
        *,
        status: int,
        headers: dict[str, str],
        body: bytes | None,
    ) -> bool:
        """Store the answer (`body` None: it held a secret and is not kept)."""
        return (
            self._claimed(record).update(
                status=status, headers=headers, body=body, is_body_kept=body is not None
            )
            == 1
        )

    def free(self, record: IdempotencyRecord) -> bool:
        """Forget the request: nothing was done, the client may try again."""
        return self._claimed(record).delete()[0] == 1

    def prune(self) -> int:
        """Delete what is older than 24 hours; return how many."""
        return self.expired().delete()[0]

    def _claimed(self, record: IdempotencyRecord) -> Self:
        return self.filter(pk=record.pk, claim=record.claim, status__isnull=True)

    def _take_over(self, known: IdempotencyRecord, fingerprint: str) -> bool:
        now = timezone.now()
        is_expired = known.created_at <= now - KEPT_FOR
        is_dead = (
            known.status is None
            and known.claimed_at <= now - LEASE
            and known.fingerprint == fingerprint
        )
        if not (is_expired or is_dead):
            return False
        new = {
            "claim": uuid.uuid4(),
            "fingerprint": fingerprint,
            "created_at": now,
            "claimed_at": now,
            "status": None,
            "headers": {},
            "body": None,
            "is_body_kept": False,
        }
        # Of several that find it dead, the one whose UPDATE counts a row.
        if not self.filter(pk=known.pk, claim=known.claim).update(**new):
            return False
        for name, value in new.items():
            setattr(known, name, value)
        return True


class IdempotencyRecord(models.Model):
    """`status` NULL: in flight. `owner`: `key:<id>` or `user:<id>`."""

    owner = models.CharField(max_length=80)
    idempotency_key = models.CharField(max_length=255)
    # SHA-256 of method, path and body, or what the view says is the same request.
    fingerprint = models.CharField(max_length=200)
    claim = models.UUIDField(default=uuid.uuid4)
    created_at = models.DateTimeField(default=timezone.now)
    claimed_at = models.DateTimeField(default=timezone.now)
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    body = models.BinaryField(null=True)
    is_body_kept = models.BooleanField(default=False)

    objects = IdempotencyRecordQuerySet.as_manager()

    class Meta:
        db_table = "idempotency_records"
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "idempotency_key"],
                name="apikeys_idempotencyrecord_key",
            ),
        ]
        indexes = [
            # prune(): what is older than a day.
            models.Index(fields=["created_at"], name="apikeys_idempotency_created"),
        ]

    def __str__(self) -> str:
        return f"{self.owner} {self.idempotency_key}"
