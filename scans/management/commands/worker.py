"""`sentrascan worker`: runs scans, or with --housekeeping the timed tasks."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import threading
from typing import Any

from celery import Celery
from celery.app import app_or_default
from celery.beat import Scheduler, Service
from celery.signals import worker_ready, worker_shutdown, worker_shutting_down
from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import connections

from apikeys.management.command import SentraCommand
from scans.management.companion import Companion
from scans.management.departure import Departure
from scans.management.presence import keep_beside
from scans.sandboxing import chosen_rung
from scans.tasks import QUEUES

logger = logging.getLogger(__name__)


class Command(SentraCommand):
    help = (
        "Run queued scans. SIGTERM lets running ones finish for a few seconds, then "
        "gives them back to the queue."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--housekeeping",
            action="store_true",
            help="send and run the timed tasks (reaper, retention) instead; one a site",
        )
        # What a worker starts beside itself; nobody types it.
        parser.add_argument("--beside", type=int, help=argparse.SUPPRESS)
        parser.add_argument("--code", default="", help=argparse.SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        logging.captureWarnings(True)
        # What the pool's children inherit must not be an open connection.
        connections.close_all()
        if options["beside"]:
            keep_beside(options["beside"], options["code"])
        elif options["housekeeping"]:
            keep_house()
        else:
            run_scans()


def run_scans() -> None:
    rung = chosen_rung()
    if not rung.is_enough:
        raise CommandError(
            "This host can isolate the scanners' tools neither by bubblewrap nor by "
            f"Landlock (best here: {rung.name}), and SENTRASCAN_SANDBOX=required asks "
            "for it. SENTRASCAN_SANDBOX=best accepts resource limits alone."
        )
    companion = Companion()
    worker_ready.connect(companion.begin, weak=False)
    worker_shutting_down.connect(Departure(companion.leave).begin, weak=False)
    worker_shutdown.connect(companion.leave, weak=False)
    concurrency = str(settings.CELERY_WORKER_CONCURRENCY)
    start_worker("scans@%h", "-Q", QUEUES, "-P", "prefork", "-c", concurrency)


def keep_house() -> None:
    timer = Timer(app_or_default())
    worker_ready.connect(timer.begin, weak=False)
    worker_shutting_down.connect(Departure(timer.end).begin, weak=False)
    # One task at a time, in this process: they are short, and beat's thread goes on.
    start_worker("housekeeping@%h", "-Q", "housekeeping", "-P", "solo", "-c", "1")


def start_worker(name: str, *options: str) -> None:
    """Become a Celery worker until a signal ends it."""
    # Several may run on one host; gossip and mingle have nothing to tell each other.
    node = name.replace("@", f"-{os.getpid()}@")
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    app_or_default().worker_main(["-q", "worker", "-n", node, *quiet, *options])


class Timer(threading.Thread):
    """Celery beat as a thread. When it breaks, the process ends and is started anew:
    an embedded beat process that died would be missed by nobody."""

    def __init__(self, app: Celery) -> None:
        super().__init__(name="beat", daemon=True)
        # In memory: intervals of seconds have no history worth a file.
        self._service = Service(app, max_interval=1, scheduler_cls=Scheduler)
        self._is_over = False

    def begin(self, **_: Any) -> None:
        self.start()

    def end(self) -> None:
        self._is_over = True
        self._service.stop()

    def run(self) -> None:
        try:
            self._service.start()
        finally:
            if not self._is_over:
                logger.critical("The timed tasks ended unasked; so does this process")
                os.kill(os.getpid(), signal.SIGTERM)
