"""Wiring: settings, routes, queue, web server. Nobody imports it.

The Celery application is made here so that tasks are bound to it in every process.
"""

from sentrascan_project.celery import app

__all__ = ["app"]
