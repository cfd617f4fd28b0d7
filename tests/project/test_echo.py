"""What went wrong in a worker is told in the web service's log, once."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.core.cache import cache

from scans.ids import uuid7
from sentrascan_project import echo
from sentrascan_project.logs import JsonFormatter
from tests.scans.api_samples import make_run, make_scan

pytestmark = pytest.mark.django_db


def lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [r for r in caplog.records if r.name == echo.__name__]


def test_each_run_that_did_not_complete_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cache.clear()
    scan = make_scan()
    make_run(scan, "a-scanner")
    make_run(scan, "b-scanner", status="skipped", error="it was not requested")
    make_run(scan, "c-scanner", status="failed", error="exit code 3")
    make_run(scan, "d-scanner", status="timed_out", error="took too long")
    told = echo.look(set())
    assert [line.scanner for line in lines(caplog)] == ["c-scanner", "d-scanner"]
    assert {line.levelname for line in lines(caplog)} == {"ERROR"}
    text = JsonFormatter().format(lines(caplog)[0])
    assert '"error":"exit code 3"' in text
    assert f'"scan_id":"{scan.pk}"' in text
    echo.look(told)  # this process again
    echo.look(set())  # another one
    assert len(lines(caplog)) == 2


def test_old_runs_are_not_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = uuid7().int - (200_000 << 80)
    make_run(make_scan(), status="failed", run_id=type(uuid7())(int=old))
    assert echo.look(set()) == set()
    assert lines(caplog) == []


def test_without_the_cache_it_is_told(
    caplog: pytest.LogCaptureFixture, settings: Any
) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
        }
    }
    make_run(make_scan(), status="failed", error="x")
    echo.look(set())
    assert len(lines(caplog)) == 1
