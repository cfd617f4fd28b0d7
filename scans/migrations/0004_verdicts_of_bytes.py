"""Mark the verdicts from before that hold for their bytes wherever they are.

By which rules they were made was not written down: they are answered, and never pass.
"""

from django.db import migrations


def mark(apps, schema_editor):
    scans = apps.get_model("scans", "Scan").objects.filter(scan_status="completed")
    scans = scans.exclude(runs__status="skipped")
    scans = scans.exclude(baseline__isnull=False, policy__document__only_new=True)
    scans.update(is_of_bytes=True)


class Migration(migrations.Migration):
    dependencies = [("scans", "0003_stored_results")]

    operations = [migrations.RunPython(mark, migrations.RunPython.noop)]
