"""How the web server is started, by `serve` and by `make run`."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def web_command() -> list[str]:
    """Return gunicorn's command line; its settings are `sentrascan_project.web`."""
    return [
        # -P: what lies in the working directory is not imported.
        *(sys.executable, "-P", "-m", "gunicorn"),
        *("-c", "python:sentrascan_project.web"),
        "sentrascan_project.wsgi:application",
    ]


def web_environment(project: Path) -> dict[str, str]:
    """Return our environment, and where the project is whatever the directory."""
    path = [str(project), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}
