"""Rows, queries and transitions, one file a noun."""

from apikeys.models.api_keys import ApiKey, DuplicateName, NotLive
from apikeys.models.audit_events import AuditEvent
from apikeys.models.idempotency_records import IdempotencyRecord

__all__ = [
    "ApiKey",
    "AuditEvent",
    "DuplicateName",
    "IdempotencyRecord",
    "NotLive",
]
