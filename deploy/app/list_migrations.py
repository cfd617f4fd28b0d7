"""Prints the migrations that this code brings, one `app name` a line.

Run when the image is built: a starting container then compares two lists instead of
loading Django.
"""

import os
import sys
from pathlib import Path

import django
from django.db.migrations.loader import MigrationLoader


def main() -> None:
    """Print them in no particular order; nothing is read from a database."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sentrascan_project.settings")
    django.setup()
    loader = MigrationLoader(None)
    for app, name in sorted(loader.disk_migrations):
        sys.stdout.write(f"{app} {name}\n")


if __name__ == "__main__":
    main()
