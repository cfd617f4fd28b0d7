"""A query of the web server ends in time; one of a worker or a command does not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from django.db import connection, transaction

from apikeys.models import ApiKey
from tests.project.running import Running, eventually
from tests.servers import free_port

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def url(process_environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """Where a web server answers whose queries may take one second."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no such limit")
    port = free_port()
    more = {
        "SENTRASCAN_PORT": str(port),
        "SENTRASCAN_DATA_DIR": str(tmp_path),
        "SENTRASCAN_STATEMENT_TIMEOUT_SECONDS": "1",
    }
    running = Running("manage.py", "serve", env=process_environment | more)
    url = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        try:
            return httpx.get(f"{url}/livez").status_code == 200
        except httpx.HTTPError:
            return False

    try:
        eventually(is_up, 60, "livez")
        yield url
    finally:
        running.end()


def test_a_query_that_takes_too_long_is_503_and_the_next_one_is_answered(
    url: str,
) -> None:
    _, key = ApiKey.objects.issue(name="reader", role="viewer")
    client = httpx.Client(headers={"X-API-Key": key}, timeout=30)
    assert client.get(f"{url}/api/v1/scans").status_code == 200
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE scans IN ACCESS EXCLUSIVE MODE")
        started = time.monotonic()
        late = client.get(f"{url}/api/v1/scans")
        waited = time.monotonic() - started
    assert late.status_code == 503
    assert late.headers["Content-Type"] == "application/problem+json"
    assert int(late.headers["Retry-After"]) >= 1
    assert "too long" in late.json()["detail"]
    assert 0.9 <= waited < 10
    assert client.get(f"{url}/api/v1/scans").status_code == 200


def test_other_processes_have_no_such_end() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no such limit")
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)
