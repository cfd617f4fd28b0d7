"""What every test stands on: real servers, keys of each role, the installed tools.

`SENTRASCAN_TEST_DB=sqlite` runs on SQLite and the broker on disk, as `make run` does;
otherwise a PostgreSQL and a Redis server of the session's own are started.
"""

from __future__ import annotations

import logging
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import planted
from tests.servers import throwaway_servers

if TYPE_CHECKING:
    from rest_framework.test import APIClient

    from scanners.runner import Tool

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
IS_SQLITE = os.environ.get("SENTRASCAN_TEST_DB", "") == "sqlite"
_until_the_end = ExitStack()
_leaked: list[str] = []


def _prepare_environment() -> None:
    """Say where everything is, before anything reads the settings.

    Runs at import: pytest-django sets Django up before any hook of a conftest.
    """
    if not WORKER:
        for name in [name for name in os.environ if name.startswith("SENTRASCAN_")]:
            if name not in {"SENTRASCAN_TEST_DB", "SENTRASCAN_SCANNERS_DIR"}:
                del os.environ[name]
        servers = _until_the_end.enter_context(throwaway_servers(is_sqlite=IS_SQLITE))
        os.environ["SENTRASCAN_TEST_DIR"] = str(servers.directory)
        os.environ["DATABASE_URL"] = servers.database_url
        os.environ.pop("DATABASE_URL_FILE", None)
        os.environ["CELERY_BROKER_URL"] = servers.redis_url
    # Each process of a parallel run has its data and its Redis database to itself.
    data = Path(os.environ["SENTRASCAN_TEST_DIR"]) / (WORKER or "main")
    os.environ["SENTRASCAN_DATA_DIR"] = str(data)
    if IS_SQLITE:
        os.environ["DATABASE_URL"] = f"sqlite:///{data / 'sentrascan.sqlite3'}"
        os.environ.pop("CELERY_BROKER_URL", None)
    elif WORKER:
        broker = os.environ["CELERY_BROKER_URL"].rpartition("/")[0]
        number = int(WORKER.removeprefix("gw")) + 1
        os.environ["CELERY_BROKER_URL"] = f"{broker}/{number}"
    os.environ["DJANGO_SETTINGS_MODULE"] = "sentrascan_project.settings"


_prepare_environment()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Let each parallel process read the settings after its own conftest, not before.

    pytest-django reads them at once where the variable is inherited, and every process
    would then have the data directory and the queue of this one.
    """
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Load the settings; pytest-django sets Django up next, as they are then."""
    config.add_cleanup(_until_the_end.close)
    from django.conf import settings

    database = settings.DATABASES["default"]
    if IS_SQLITE:
        # A file, since a database in memory has no write-ahead log.
        database["TEST"] = {"NAME": str(settings.DATA_DIR / "test.sqlite3")}


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the session over a planted secret in any log of any test."""
    if WORKER:
        return
    for line in planted.leaks_of_the_session():
        _leaked.append(line)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was leaked, and which rungs of the sandbox no test here has tried."""
    for line in _leaked[:20]:
        terminalreporter.write_line(f"SECRET LOGGED  {line[:500]}", red=True, bold=True)
    skips = [each.longrepr for each in terminalreporter.stats.get("skipped", [])]
    reasons = [each[2] for each in skips if isinstance(each, tuple)]
    untried = Counter(
        reason.partition("rung not tried: ")[2]
        for reason in reasons
        if "rung not tried: " in reason
    )
    for rung, count in untried.items():
        line = f"RUNG NOT TRIED  {rung} ({count} tests skipped)"
        terminalreporter.write_line(line, red=True, bold=True)


def _client(role: str) -> APIClient:
    from rest_framework.test import APIClient

    from apikeys.models import ApiKey

    _key, plain = ApiKey.objects.issue(name=f"test-{role}", role=role)
    client = APIClient()
    client.credentials(HTTP_X_API_KEY=plain)
    return client


@pytest.fixture(scope="session", autouse=True)
def logged() -> Iterator[None]:
    """Keep what is logged, for the search at the end of the session."""
    from sentrascan_project.logs import JsonFormatter

    handler = planted.keep(JsonFormatter())
    yield
    handler.close()


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """A command that hushes the log of its process does not hush the next test's."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """A command that listens to signals in this process does not listen afterwards."""
    heeded = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    handlers = {each: signal.getsignal(each) for each in heeded}
    yield
    for each, handler in handlers.items():
        if signal.getsignal(each) != handler:
            signal.signal(each, handler)


@pytest.fixture(autouse=True)
def counted_anew() -> None:
    """No list is long and no address has failed because of another test."""
    from apikeys import failures
    from sentrascan_project.paging import long_lists

    long_lists.forget()
    failures.reset()


@pytest.fixture
def api(db: None) -> APIClient:
    """A client that holds a real admin key."""
    return _client("admin")


@pytest.fixture
def scanner_api(db: None) -> APIClient:
    """A client that holds a real key of the role scanner."""
    return _client("scanner")


@pytest.fixture
def viewer_api(db: None) -> APIClient:
    """A client that holds a real key of the role viewer."""
    return _client("viewer")


@pytest.fixture
def anonymous_api() -> APIClient:
    """A client without any key."""
    from rest_framework.test import APIClient

    return APIClient()


@pytest.fixture(scope="session")
def tools() -> dict[str, Tool]:
    """The real tools by name, installed first where they are not."""
    from django.conf import settings

    from scanners.contract import ScannerMissing
    from scanners.environments import tool_names
    from scanners.install import install, installed

    def tool(name: str) -> Tool:
        try:  # where it is there, nothing needs to be writable
            return installed(name, settings.SCANNERS_DIR)
        except ScannerMissing:
            return install(name, settings.SCANNERS_DIR)

    return {name: tool(name) for name in tool_names()}


@pytest.fixture
def process_environment(transactional_db: None) -> dict[str, str]:
    """The environment for a process of ours that shares this test's database.

    What it writes is seen by the test and the other way round, since nothing is rolled
    back: the tables are emptied after the test.
    """
    from django.db import connection

    name = connection.settings_dict["NAME"]
    environment = dict(os.environ)
    if connection.vendor == "sqlite":
        environment["DATABASE_URL"] = f"sqlite:///{name}"
    else:
        server = os.environ["DATABASE_URL"].rpartition("/")[0]
        environment["DATABASE_URL"] = f"{server}/{name}"
    return environment
