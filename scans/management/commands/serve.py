"""`sentrascan serve`: the web server, and nothing else."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.conf import settings

from apikeys.management.command import SentraCommand


class Command(SentraCommand):
    help = "Run the web server (gunicorn). GUNICORN_CMD_ARGS changes its options."

    def handle(self, *args: Any, **options: Any) -> None:
        sys.stdout.flush()
        # It takes our place: signals reach it without anybody in between.
        command = [
            # -P: what lies in the working directory is not imported.
            *(sys.executable, "-P", "-m", "gunicorn"),
            *("-c", "python:sentrascan_project.web"),
            "sentrascan_project.wsgi:application",
        ]
        path = [str(settings.BASE_DIR), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": ":".join(filter(None, path))}
        os.execve(sys.executable, command, environment)  # noqa: S606
