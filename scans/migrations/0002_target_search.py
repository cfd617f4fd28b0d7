"""The index that a search for part of a target's name needs."""

from django.db import migrations


def add_search(apps, schema_editor):
    # GET /scans?q=...: part of a target's name. icontains compiles to UPPER().
    if schema_editor.connection.vendor != "postgresql":
        return
    schema_editor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    schema_editor.execute(
        "CREATE INDEX scans_scan_target_trgm ON scans "
        "USING gin (UPPER(target) gin_trgm_ops)"
    )


def drop_search(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX IF EXISTS scans_scan_target_trgm")


class Migration(migrations.Migration):
    dependencies = [("scans", "0001_initial")]

    operations = [migrations.RunPython(add_search, drop_search)]
