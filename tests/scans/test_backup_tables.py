"""Which tables a backup has, and that it knows every kind of column."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import models
from django.db.migrations.state import ModelState, ProjectState

from scans.backups.failures import BackupError
from scans.backups.tables import LEFT_OUT, SEEDED, tables_of


def test_every_model_of_today_can_be_backed_up():
    names = {model._meta.db_table for model in apps.get_models(True)}
    assert set(tables_of(apps)) == names - LEFT_OUT
    assert names >= LEFT_OUT | (SEEDED.keys() - {"django_migrations"})


def test_what_the_database_computes_is_not_in_it():
    columns = [column.name for column in tables_of(apps)["scans"].columns]
    assert "verdict" in columns
    assert "passed" not in columns


def test_a_reference_is_of_the_kind_of_what_it_refers_to():
    kinds = {one.name: one.kind for one in tables_of(apps)["findings"].columns}
    assert kinds["scan_id"] == "uuid"


def test_a_kind_of_column_that_nobody_taught_is_no_silent_loss():
    fields = [
        ("id", models.AutoField(primary_key=True)),
        ("length", models.DurationField()),
    ]
    state = ProjectState()
    state.add_model(ModelState("strange", "Strange", fields))
    with pytest.raises(BackupError, match="no way to back up a DurationField"):
        tables_of(state.apps)
