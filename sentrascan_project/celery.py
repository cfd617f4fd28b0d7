"""The queue's application. Who works at it: `sentrascan worker`."""

from __future__ import annotations

import logging.config
import os
import sys
from typing import Any

from celery import Celery
from celery.signals import setup_logging, task_postrun, task_prerun
from django.conf import settings
from django.db import close_old_connections

from sentrascan_project import logs

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sentrascan_project.settings")

_path = list(sys.path)
app = Celery("sentrascan")
# Celery's Django part puts the working directory first: `sentrascan scan .` in a
# stranger's folder would then import the stranger's modules.
sys.path[:] = _path
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def log_like_django(**_: Any) -> None:
    """Keep Celery from installing handlers of its own beside ours."""
    logging.config.dictConfig(settings.LOGGING)


@task_prerun.connect
def look_at_connections(**_: Any) -> None:
    """Let go what is old, and have the rest tried before it is used.

    Celery's Django part would close all of them before and after each task.
    """
    close_old_connections()


@task_prerun.connect
def name_the_scan(args: Any = (), **_: Any) -> None:
    """Every line of a task names its scan, which is its only argument if it has one."""
    logs.scan_id.set(str(args[0]) if args else "")


@task_postrun.connect
def forget_the_scan(**_: Any) -> None:
    logs.scan_id.set("")
