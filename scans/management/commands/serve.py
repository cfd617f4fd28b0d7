"""`sentrascan serve`: the web server, and nothing else."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.conf import settings

from apikeys.management.command import SentraCommand
from scans.management.web_server import web_command, web_environment


class Command(SentraCommand):
    help = "Run the web server (gunicorn). GUNICORN_CMD_ARGS changes its options."

    def handle(self, *args: Any, **options: Any) -> None:
        sys.stdout.flush()
        # It takes our place: signals reach it without anybody in between.
        environment = web_environment(settings.BASE_DIR)
        os.execve(sys.executable, web_command(), environment)
