"""gunicorn's settings, read by `sentrascan serve`; GUNICORN_CMD_ARGS goes over them."""

from __future__ import annotations

import logging.config
import os
from pathlib import Path

from django.conf import settings
from gunicorn.config import Config
from gunicorn.glogging import Logger

from sentrascan_project import memory, shared_counts, sharing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sentrascan_project.settings")


class JsonLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's own lines in the shape of all others.

    Its usual logger is called `gunicorn.error`: a word that may stand only in lines
    of that level.
    """

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        logging.config.dictConfig(settings.LOGGING)
        # Warnings of libraries are lines like all others.
        logging.captureWarnings(True)
        self.error_log = logging.getLogger("gunicorn.server")
        self.error_log.setLevel(self.loglevel)
        self.error_log.addFilter(without_request)


def without_request(record: logging.LogRecord) -> bool:
    """Cut what gunicorn quotes of a request: keys, and what people search for."""
    said, colon, _ = str(record.msg).partition(": ")
    if colon and said.startswith("Invalid request from"):
        record.msg, record.args = said, ()
    elif said.startswith("Error handling request") and isinstance(record.args, tuple):
        record.args = tuple(str(each).partition("?")[0] for each in record.args)
    return True


# Before the application is loaded: that decides how requests are counted.
shared_counts.prepare(settings.DATA_DIR / "metrics")

database = settings.DATABASES["default"]
if database["ENGINE"].endswith("postgresql"):
    # Before the first connection. A client has gone long before a query of minutes
    # ends, and would ask again.
    options = database["OPTIONS"]
    limit = f"-c statement_timeout={settings.STATEMENT_TIMEOUT_SECONDS * 1000}"
    options["options"] = f"{options.get('options', '')} {limit}".strip()

bind = (
    f"[{settings.HOST}]:{settings.PORT}"
    if ":" in settings.HOST
    else f"{settings.HOST}:{settings.PORT}"
)
worker_class = sharing.EvenWorker
workers = 2
threads = settings.WEB_THREADS
# Loaded once, then forked: half the time to start, and shared memory.
preload_app = True
timeout = 60
# Held requests end with it; an operator waits 10 s for a stop.
graceful_timeout = 5
keepalive = 5
# A worker's sign of life must not wait for a busy disk.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - gunicorn's own name in it
# Requests are not logged: addresses with query strings hold what people searched.
accesslog = None
logger_class = JsonLogger
control_socket_disable = True
# The application believes X-Forwarded-* from TRUSTED_PROXIES; gunicorn need not.
forwarded_allow_ips = ""


def when_ready(server: object) -> None:
    """Called with the application loaded, before the first fork."""
    memory.settle()


def post_worker_init(worker: object) -> None:
    """Start what runs beside the requests; a thread begun before the fork is lost."""
    # Needs the application loaded, which this file is read before.
    from sentrascan_project import echo

    echo.start()
