"""Input that says exactly what was meant: what we do not know is refused, by name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

# What every list takes; the paginator reads them.
PAGE_PARAMETERS = frozenset({"limit", "cursor", "offset"})


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses, naming them, fields that it does not declare or only answers with."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        errors: dict[str, Any] = {}
        if isinstance(data, Mapping):
            known = {field.field_name for field in self._writable_fields}
            errors = {
                str(name): ["Unknown field."] for name in data if name not in known
            }
        try:
            values: dict[str, Any] = super().to_internal_value(data)
        except ValidationError as error:
            if isinstance(error.detail, dict):
                errors |= error.detail
            raise ValidationError(errors or error.detail) from error
        if errors:
            raise ValidationError(errors)
        return values


class StrictCharField(serializers.CharField):
    """Text as JSON text: `123` and `true` are not."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class StrictIntegerField(serializers.IntegerField):
    """A whole number as a JSON number: `"5"`, `5.0` and `true` are not."""

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return super().to_internal_value(data)


class StrictBooleanField(serializers.BooleanField):
    """`true` or `false`: `"yes"` and `1` are not."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


def strict_query(request: Request, allowed: Collection[str]) -> None:
    """Raise ValidationError naming the query parameters that are not `allowed`."""
    unknown = [name for name in request.query_params if name not in allowed]
    if unknown:
        raise ValidationError({name: ["Unknown query parameter."] for name in unknown})
