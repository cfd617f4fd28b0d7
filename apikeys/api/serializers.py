"""What JSON looks like."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apikeys.api.strict import StrictCharField, StrictIntegerField, StrictSerializer
from apikeys.choices import KeyState, Role
from apikeys.keyring import DEFAULT_GRACE_HOURS, MAX_EXPIRY_DAYS, MAX_GRACE_HOURS
from apikeys.models import ApiKey, AuditEvent


class ApiKeySerializer(serializers.ModelSerializer[ApiKey]):
    """A key's row; never its secret or digest."""

    state = serializers.ChoiceField(choices=KeyState.choices, read_only=True)
    rotated_from = serializers.UUIDField(
        source="rotated_from_id", read_only=True, allow_null=True
    )

    class Meta:
        model = ApiKey
        fields = [
            "key_id",
            "name",
            "role",
            "state",
            "is_revoked",
            "created_at",
            "expires_at",
            "last_used_at",
            "last_used_ip",
            "created_by",
            "rotated_from",
            "grace_until",
            "revoked_at",
            "public_id",
        ]
        read_only_fields = fields


class CreatedApiKeySerializer(ApiKeySerializer):
    """The row and, in this answer only, the key; pass it as `context["key"]`."""

    key = serializers.SerializerMethodField()

    class Meta(ApiKeySerializer.Meta):
        fields = [*ApiKeySerializer.Meta.fields, "key"]
        read_only_fields = fields

    def get_key(self, row: ApiKey) -> str:
        return str(self.context["key"])


class NewApiKeySerializer(StrictSerializer):
    name = StrictCharField(max_length=100, trim_whitespace=False)
    role = serializers.ChoiceField(choices=Role.choices)
    expires_in_days = StrictIntegerField(
        min_value=1, max_value=MAX_EXPIRY_DAYS, required=False, allow_null=True
    )

    def validate_name(self, name: str) -> str:
        """Check the alphabet here too, so that the answer points at the field."""
        field = ApiKey._meta.get_field("name")
        field.run_validators(name)
        return name


class RotationSerializer(StrictSerializer):
    grace_hours = StrictIntegerField(
        min_value=0, max_value=MAX_GRACE_HOURS, default=DEFAULT_GRACE_HOURS
    )


class NothingSerializer(StrictSerializer):
    """The body of a request that takes none."""


class AuditEventSerializer(serializers.ModelSerializer[AuditEvent]):
    detail: serializers.JSONField = serializers.JSONField(read_only=True)

    class Meta:
        model = AuditEvent
        fields = [
            "id",
            "created_at",
            "actor",
            "actor_kind",
            "action",
            "object_type",
            "object_id",
            "detail",
            "ip",
            "request_id",
        ]
        read_only_fields = fields


class AuditQuerySerializer(StrictSerializer):
    """The query of GET /audit-events; the paginator checks its own parameters."""

    actor = serializers.CharField(max_length=200, required=False)
    action = serializers.CharField(max_length=60, required=False)
    created_after = serializers.DateTimeField(required=False)
    created_before = serializers.DateTimeField(required=False)
    limit = serializers.CharField(required=False)
    cursor = serializers.CharField(required=False)
    offset = serializers.CharField(required=False)

    def lookups(self) -> dict[str, Any]:
        """Return the validated filters as ORM lookups."""
        names = {
            "actor": "actor",
            "action": "action",
            "created_after": "created_at__gt",
            "created_before": "created_at__lt",
        }
        values = self.validated_data
        return {names[name]: values[name] for name in names if name in values}
