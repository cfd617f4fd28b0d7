"""Requests that wait for a verdict: how many, how long, and what they hold."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, connections
from rest_framework.test import APIClient

from scans.api import holding
from scans.choices import ScanStatus, Verdict
from scans.models import Scan
from tests.scans.api_samples import TOOLS, make_scan

pytestmark = pytest.mark.django_db(transaction=True)
URL = "/api/v1/scans"
MCP = {"scan_type": "mcp", "tools": TOOLS}


@pytest.fixture(autouse=True)
def threads(settings: Any) -> Iterator[None]:
    settings.WEB_THREADS = 4
    settings.MIN_FREE_BYTES = 0
    holding.slots.cache_clear()
    yield
    free = [holding.slots().acquire(blocking=False) for _ in range(3)]
    holding.slots.cache_clear()
    assert free == [True, True, False], "a place was not given back, or given twice"


def finish(scan_id: Any = None) -> None:
    rows = Scan.objects.filter(pk=scan_id) if scan_id else Scan.objects.all()
    rows.update(scan_status=ScanStatus.COMPLETED, verdict=Verdict.PASS)


class Later:
    """Does something in another thread once `ready` says so; raises what it raised."""

    def __init__(self, ready: Any, act: Any) -> None:
        self.fault: BaseException | None = None
        self.thread = threading.Thread(target=self._run, args=(ready, act))
        self.thread.start()

    def _run(self, ready: Any, act: Any) -> None:
        try:
            until = time.monotonic() + 30
            while not ready():
                assert time.monotonic() < until, "it never came to that"
                time.sleep(0.02)
            act()
        except BaseException as fault:  # noqa: BLE001 - shown by join()
            self.fault = fault
        finally:
            connection.close()

    def join(self) -> None:
        self.thread.join(40)
        if self.fault:
            raise self.fault


def events_of(chunks: Any) -> list[tuple[str, Any]]:
    text = b"".join(chunks).decode()
    found = []
    for block in text.split("\n\n"):
        if block.startswith("event: "):
            name, _, data = block.partition("\ndata: ")
            found.append((name.removeprefix("event: "), json.loads(data)))
    return found


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=30", 30),
        ("respond-async, wait=5", 5),
        ('wait="7"', 7),
        ("WAIT=3; foo=bar", 3),
        ("wait=100000", 60),
        ("wait=0", 0),
        ("wait=-1", 0),
        ("wait", 0),
        ("awaits=4", 0),
        ("", 0),
    ],
)
def test_it_reads_prefer(prefer: str, seconds: int) -> None:
    assert holding.wanted_wait(prefer) == seconds


def test_wait_answers_200_once_finished(scanner_api: APIClient) -> None:
    later = Later(Scan.objects.exists, finish)
    answer = scanner_api.post(URL, MCP, format="json", headers={"Prefer": "wait=60"})
    later.join()
    assert answer.status_code == 200, answer.content
    assert answer.json()["verdict"] == "pass"
    assert answer["Preference-Applied"] == "wait=60"
    assert answer["Location"] == f"{URL}/{answer.json()['scan_id']}"


def test_wait_answers_202_when_the_time_is_over(scanner_api: APIClient) -> None:
    answer = scanner_api.post(URL, MCP, format="json", headers={"Prefer": "wait=1"})
    assert answer.status_code == 202
    assert "Preference-Applied" not in answer
    assert answer["Retry-After"]


def test_wait_answers_202_at_once_when_half_the_threads_are_held(
    scanner_api: APIClient,
) -> None:
    with holding.slot(), holding.slot():
        started = time.monotonic()
        answer = scanner_api.post(
            URL, MCP, format="json", headers={"Prefer": "wait=60"}
        )
    assert answer.status_code == 202
    assert time.monotonic() - started < 30


def test_a_scan_deleted_while_one_waits_is_410(scanner_api: APIClient) -> None:
    later = Later(Scan.objects.exists, lambda: Scan.objects.all().delete())
    answer = scanner_api.post(URL, MCP, format="json", headers={"Prefer": "wait=60"})
    later.join()
    assert answer.status_code == 410


def test_nobody_who_waits_holds_a_connection(
    scanner_api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = connections["default"]
    seen = []

    def pause(seconds: float) -> None:
        seen.append(own.connection is None)
        if len(seen) == 3:
            finish()
            connection.close()

    monkeypatch.setattr(holding.time, "sleep", pause)
    scanner_api.post(URL, MCP, format="json", headers={"Prefer": "wait=60"})
    assert seen == [True] * 3


def test_events_tell_progress_and_the_end(viewer_api: APIClient) -> None:
    scan = make_scan(scan_status=ScanStatus.QUEUED)
    answer = viewer_api.get(
        f"{URL}/{scan.pk}/events", headers={"Accept": "text/event-stream"}
    )
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/event-stream"
    assert answer["X-Accel-Buffering"] == "no"
    stream = iter(answer.streaming_content)
    chunks = [next(stream), next(stream)]
    Scan.objects.filter(pk=scan.pk).update(progress_stage="scan", progress_total=3)
    chunks.append(next(stream))
    finish(scan.pk)
    chunks += list(stream)
    answer.close()
    told = events_of(chunks)
    assert [name for name, _ in told] == ["progress", "progress", "finished"]
    found = told[1][1]["progress"]
    assert (found["stage"], found["done"], found["total"]) == ("scan", 0, 3)
    assert told[2][1]["verdict"] == "pass"
    assert told[2][1]["runs"] == []


def test_events_of_a_finished_scan_end_at_once_and_hold_nothing(
    viewer_api: APIClient,
) -> None:
    scan = make_scan()
    with holding.slot(), holding.slot():
        answer = viewer_api.get(f"{URL}/{scan.pk}/events")
        told = events_of(answer.streaming_content)
        answer.close()
    assert [name for name, _ in told] == ["finished"]


def test_events_end_when_the_scan_is_deleted(viewer_api: APIClient) -> None:
    scan = make_scan(scan_status=ScanStatus.QUEUED)
    answer = viewer_api.get(f"{URL}/{scan.pk}/events")
    stream = iter(answer.streaming_content)
    chunks = [next(stream), next(stream)]
    scan.delete()
    told = events_of([*chunks, *stream])
    answer.close()
    assert [name for name, _ in told] == ["progress", "deleted"]


def events_of_a_queued_scan(client: APIClient) -> Any:
    scan = make_scan(scan_status=ScanStatus.QUEUED)
    return client.get(f"{URL}/{scan.pk}/events")


def test_a_silent_stream_is_kept_alive(
    viewer_api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "HEARTBEAT_SECONDS", 0.2)
    answer = events_of_a_queued_scan(viewer_api)
    retry, progress, *silence = itertools.islice(answer.streaming_content, 4)
    assert retry.startswith(b"retry: ")
    assert progress.startswith(b"event: progress")
    assert silence == [b": still here\n\n"] * 2
    answer.close()


def test_a_stream_ends_and_the_client_comes_again(
    viewer_api: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "STREAM_SECONDS", 0.2)
    answer = events_of_a_queued_scan(viewer_api)
    first, *_ = answer.streaming_content
    assert first.startswith(b"retry: ")
    answer.close()


def test_beyond_half_the_threads_events_are_503(viewer_api: APIClient) -> None:
    scan = make_scan(scan_status=ScanStatus.QUEUED)
    url = f"{URL}/{scan.pk}/events"
    first, second = viewer_api.get(url), viewer_api.get(url)
    third = viewer_api.get(url, headers={"Accept": "text/event-stream"})
    assert third.status_code == 503
    assert third["Retry-After"] == "5"
    assert third["Content-Type"] == "application/problem+json"
    # Given back though nobody ever read the first one, and once only.
    first.close()
    first.close()
    fourth = viewer_api.get(url)
    assert fourth.status_code == 200
    second.close()
    fourth.close()


def test_head_of_events_holds_nothing(viewer_api: APIClient) -> None:
    scan = make_scan(scan_status=ScanStatus.QUEUED)
    for _ in range(5):
        answer = viewer_api.head(f"{URL}/{scan.pk}/events")
        assert (answer.status_code, answer.content) == (200, b"")
