"""Rate limits: counted per key, told in headers, and never in the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from rest_framework.test import APIClient

from sentrascan_project import throttling
from sentrascan_project.throttling import KeyRateThrottle

pytestmark = pytest.mark.django_db
URL = "/api/v1/scanners"
NOON = 1_772_366_400.0


@pytest.fixture(autouse=True)
def clean(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    cache.clear()
    KeyRateThrottle._asleep_until = 0.0
    rates = {"DEFAULT_THROTTLE_RATES": {"key": "3/day"}}
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | rates
    # One window, whatever the time: a day may end in between.
    monkeypatch.setattr(throttling.time, "time", lambda: NOON)
    yield
    KeyRateThrottle._asleep_until = 0.0


def test_the_headers_count_down_and_429_follows(
    viewer_api: APIClient, scanner_api: APIClient
) -> None:
    for left in (2, 1, 0):
        answer = viewer_api.get(URL)
        assert answer.status_code == 200
        assert answer["RateLimit-Policy"] == '"default";q=3;w=86400'
        assert answer["RateLimit"].startswith(f'"default";r={left};t=')
    refused = viewer_api.get(URL)
    assert refused.status_code == 429
    assert refused["Content-Type"] == "application/problem+json"
    assert refused["Retry-After"] == str(12 * 3600)
    assert refused["RateLimit"].startswith('"default";r=0;t=')
    # Another key has its own; health has none.
    assert scanner_api.get(URL).status_code == 200
    assert viewer_api.get("/api/v1/health").status_code == 200


def test_refusals_count_and_carry_the_headers(viewer_api: APIClient) -> None:
    for _ in range(3):
        answer = viewer_api.delete(f"/api/v1/scans/{'0' * 8}-0000-0000-0000-{'0' * 12}")
        assert answer.status_code == 403
        assert answer["RateLimit-Policy"]
    assert viewer_api.delete(f"/api/v1/scans/{'0' * 8}-0000-0000-0000-{'0' * 12}")[
        "Retry-After"
    ]


@pytest.mark.parametrize(
    "broken",
    [
        {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
            "OPTIONS": {"socket_connect_timeout": 0.5, "socket_timeout": 1},
        },
        {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": "/proc/nowhere",
        },
    ],
)
def test_a_broken_cache_lets_requests_through_quickly(
    viewer_api: APIClient,
    settings: Any,
    broken: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("WARNING")  # a command before us may have hushed the logs
    settings.CACHES = {"default": broken}
    answers = [viewer_api.get(URL) for _ in range(5)]
    assert {answer.status_code for answer in answers} == {200}
    assert "RateLimit" not in answers[-1]
    warned = [r for r in caplog.records if r.name == throttling.__name__]
    # Once, and then the cache is left alone for a while.
    assert [record.levelname for record in warned] == ["WARNING"]
    assert KeyRateThrottle._asleep_until > time.monotonic()


@pytest.mark.parametrize("text", ["", "600", "x/min", "0/min", "5/week"])
def test_a_malformed_rate_is_said(settings: Any, text: str) -> None:
    rates = {"DEFAULT_THROTTLE_RATES": {"key": text}}
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | rates
    with pytest.raises(ValueError, match=r"600/min|invalid literal"):
        throttling.rate()
