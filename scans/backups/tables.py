"""The tables of an installation and the kinds of their columns.

Taken from the models, as a migration left them: an older backup is read with the models
that it was written with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.apps.registry import Apps
from django.db.models import Field, ForeignKey, Model
from django.db.models.options import Options

from scans.backups.failures import BackupError

# Sessions end with a restore. The other two are signs of life: they say who works now.
LEFT_OUT = frozenset({"django_session", "workers", "result_claims"})
# What an installation writes of itself before anybody used it, and a condition for the
# rows that are more than that ("" where none can be).
SEEDED = {
    "django_migrations": "",
    "django_content_type": "",
    "auth_permission": "",
    "auth_group": "",
    "installation_key": "",
    "tallies": "",
    "policies": "name <> 'default' OR version > 1",
    "audit_events": "actor <> 'installation'",
}

KINDS = {
    **dict.fromkeys(("AutoField", "BigAutoField", "SmallAutoField"), "int"),
    **dict.fromkeys(("IntegerField", "BigIntegerField", "SmallIntegerField"), "int"),
    **dict.fromkeys(("PositiveIntegerField", "PositiveBigIntegerField"), "int"),
    "PositiveSmallIntegerField": "int",
    "FloatField": "float",
    "BooleanField": "bool",
    **dict.fromkeys(("CharField", "TextField", "SlugField", "URLField"), "text"),
    "UUIDField": "uuid",
    "DateTimeField": "time",
    "DateField": "text",
    "JSONField": "json",
    "GenericIPAddressField": "ip",
    "BinaryField": "bytes",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column and its kind, one of the values of `KINDS`."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Table:
    """What is written and read of one table, in this order of columns.

    `key` is the primary key; `serial` its column where the database counts it up.
    """

    name: str
    columns: tuple[Column, ...]
    key: Column
    serial: str | None


def tables_of(apps: Apps) -> Mapping[str, Table]:
    """Return the tables of all models by name, sorted, but for `LEFT_OUT`.

    Raises `BackupError` for a kind of column that nobody taught us.
    """
    metas: list[Options[Model]] = [
        model._meta
        for model in apps.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy
    ]
    tables = {
        meta.db_table: _table(meta) for meta in metas if meta.db_table not in LEFT_OUT
    }
    return dict(sorted(tables.items()))


def _table(meta: Options[Model]) -> Table:
    fields = [f for f in meta.concrete_fields if not getattr(f, "generated", False)]
    key = meta.pk
    is_counted = key.get_internal_type().endswith("AutoField")
    return Table(
        name=meta.db_table,
        columns=tuple(_column(field) for field in fields),
        key=_column(key),
        serial=str(key.column) if is_counted else None,
    )


def _column(field: Field[object, object]) -> Column:
    holder: Field[object, object] = field
    while isinstance(holder, ForeignKey):
        holder = holder.target_field
    name = holder.get_internal_type()
    if name not in KINDS:
        raise BackupError(f"{field}: there is no way to back up a {name}")
    return Column(str(field.column), KINDS[name])
