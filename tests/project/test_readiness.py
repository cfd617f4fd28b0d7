"""GET /readyz: every part that it takes to judge a scan, each looked at for real."""

from __future__ import annotations

from datetime import timedelta

import pytest
from celery import current_app
from django.db import connection
from django.test import Client
from django.utils import timezone

from scanners.registry import SCANNERS
from scans.models import Worker
from sentrascan_project import readiness
from tests.project.test_api import database_away

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]
URL = "/readyz"


@pytest.fixture(autouse=True)
def looked_at_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "FRESH_SECONDS", 0)
    monkeypatch.setattr(readiness, "_readiness", readiness.Readiness())


@pytest.fixture
def worker() -> Worker:
    told = {name: {"status": "available", "version": "1"} for name in SCANNERS}
    return Worker.objects.create(name="here:1", scanners=told)


def ask(client: Client) -> tuple[int, dict[str, str]]:
    answer = client.get(URL)
    body = answer.json()
    assert body["status"] == ("ok" if answer.status_code == 200 else "unavailable")
    assert answer["Cache-Control"] == "no-store"
    assert ("Retry-After" in answer) == (answer.status_code == 503)
    return answer.status_code, body["checks"]


@pytest.mark.usefixtures("worker")
def test_it_is_ready_when_everything_is_well(client: Client) -> None:
    status, checks = ask(client)
    assert checks == dict.fromkeys(
        ("database", "migrations", "broker", "workers", "scanners"), "ok"
    )
    assert status == 200


def test_without_a_live_worker_it_is_not(client: Client, worker: Worker) -> None:
    gone = timezone.now() - timedelta(minutes=2)
    Worker.objects.filter(pk=worker.pk).update(seen_at=gone)
    status, checks = ask(client)
    assert status == 503
    assert checks["workers"] == "none is alive"


def test_a_scanner_that_stopped_detecting_makes_it_red(
    client: Client, worker: Worker
) -> None:
    assert ask(client)[0] == 200
    worker.scanners["modelaudit"]["status"] = "broken"
    worker.save()
    status, checks = ask(client)
    assert (status, checks["scanners"]) == (503, "modelaudit: broken")


def test_a_worker_that_just_started_does_not_turn_it_red(
    client: Client, worker: Worker
) -> None:
    Worker.objects.create(name="here:2", scanners={})
    assert ask(client)[0] == 200
    worker.delete()
    status, checks = ask(client)
    assert status == 503
    assert "has tried it" in checks["scanners"]


@pytest.mark.usefixtures("worker")
def test_a_migration_that_is_missing_makes_it_red(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM django_migrations WHERE id ="
            " (SELECT max(id) FROM django_migrations WHERE app = 'scans')"
        )
    status, checks = ask(client)
    assert (status, checks["migrations"]) == (503, "1 are missing")


def test_without_the_database_it_says_so_and_tells_nobody_where_it_is(
    client: Client,
) -> None:
    with database_away():
        answer = client.get(URL)
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "it does not answer"
    assert answer.json()["checks"]["workers"].startswith("unknown")
    assert b"host=db" not in answer.content


@pytest.mark.usefixtures("worker")
def test_without_the_broker_it_is_not_ready(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("the queue on disk has nobody who could be away")
    # A port that nobody listens on; the client library is the real one.
    monkeypatch.setattr(current_app.conf, "broker_write_url", "redis://127.0.0.1:1/0")
    status, checks = ask(client)
    assert (status, checks["broker"]) == (503, "it does not answer")


@pytest.mark.usefixtures("worker")
def test_those_who_ask_at_once_share_one_look(
    client: Client, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries
) -> None:
    monkeypatch.setattr(readiness, "FRESH_SECONDS", 60)
    ask(client)
    with django_assert_num_queries(0):
        assert ask(client)[0] == 200


def test_it_is_asked_by_whatever_name_and_needs_no_key(client: Client) -> None:
    for path in (URL, "/livez"):
        answer = client.get(path, headers={"Host": "10.0.0.7"})
        assert answer.status_code in {200, 503}
        assert client.post(path).status_code == 405
