from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.cache.backends.base import BaseCache
from django.db import connection
from django.utils import timezone

from apikeys import failures, keys
from apikeys.models import ApiKey
from tests.apikeys.clients import KeyClient, mistyped

pytestmark = pytest.mark.django_db


@pytest.fixture
def issued():
    return ApiKey.objects.issue(name="ci", role="viewer")


def dead_keys() -> dict[str, str | None]:
    _, revoked = ApiKey.objects.issue(name="revoked", role="admin")
    ApiKey.objects.revoke("revoked")
    _, expired = ApiKey.objects.issue(
        name="expired", role="admin", expires_at=timezone.now() - timedelta(seconds=1)
    )
    rotated, replaced = ApiKey.objects.issue(name="rotated", role="admin")
    ApiKey.objects.rotate(rotated, 0)
    unknown = keys.generate().text
    return {
        "missing": None,
        "empty": "",
        "malformed": "ssk_nonsense",
        "wrong checksum": mistyped(unknown),
        "unknown": unknown,
        "revoked": revoked,
        "expired": expired,
        "replaced": replaced,
    }


def test_it_answers_401_alike_whatever_is_wrong():
    answers = {}
    for wrong, plain in dead_keys().items():
        response = KeyClient(plain).get("/probe")
        assert response.status_code == 401, wrong
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        body = response.json()
        body.pop("request_id", None)
        answers[wrong] = body
    assert len({str(body) for body in answers.values()}) == 1, answers


@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "Bearer  {} "])
def test_a_bearer_token_is_a_key_too(client, issued, header):
    response = client.get("/probe", headers={"Authorization": header.format(issued[1])})
    assert response.status_code == 200
    assert response.json() == {"name": "ci"}


@pytest.mark.parametrize("header", ["Bearer", "Bearer nonsense", "Basic YTpi", "x"])
def test_another_authorization_header_is_401(client, header):
    response = client.get("/probe", headers={"Authorization": header})
    assert response.status_code == 401


def test_a_key_in_the_query_is_none(client, issued):
    assert client.get("/probe", {"api_key": issued[1]}).status_code == 401


def test_raw_revocation_takes_effect_on_the_next_request(issued):
    client = KeyClient(issued[1])
    assert client.get("/probe").status_code == 200
    with connection.cursor() as cursor:
        cursor.execute("UPDATE api_keys SET is_revoked = true WHERE name = 'ci'")
    assert client.get("/probe").status_code == 401


def test_a_request_costs_one_query_and_the_first_of_a_minute_its_note(
    issued, django_assert_num_queries
):
    client = KeyClient(issued[1])
    with django_assert_num_queries(4):  # SELECT, savepoint, UPDATE, release
        client.get("/probe", REMOTE_ADDR="203.0.113.9")
    with django_assert_num_queries(1):
        client.get("/probe", REMOTE_ADDR="203.0.113.10")
    assert ApiKey.objects.get().last_used_ip == "203.0.113.9"


def attempts(plain: str, times: int, **extra: str) -> list[int]:
    client = KeyClient(plain)
    return [client.get("/probe", **extra).status_code for _ in range(times)]


@pytest.fixture
def five_failures(settings, monkeypatch):
    settings.AUTH_FAILURES_PER_MINUTE = 5
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    # One window, wherever in the minute the test runs.
    monkeypatch.setattr(failures, "WINDOW_SECONDS", 10**10)


def test_too_many_wrong_keys_of_one_address_are_429(five_failures, issued):
    wrong = keys.generate().text
    assert attempts(wrong, 7) == [401] * 5 + [429] * 2
    response = KeyClient("nonsense").get("/probe")
    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) >= 1
    # A bad neighbour locks nobody out, and an address is not its neighbour.
    assert attempts(issued[1], 1) == [200]
    assert attempts(wrong, 1, REMOTE_ADDR="203.0.113.9") == [401]


def test_the_wait_ends_with_the_window(settings):
    settings.AUTH_FAILURES_PER_MINUTE = 0
    assert 1 <= failures.retry_after("203.0.113.9") <= 60


def test_behind_the_proxy_every_client_is_counted_for_itself(five_failures):
    proxy = {"REMOTE_ADDR": "10.0.0.2"}
    first = {**proxy, "HTTP_X_FORWARDED_FOR": "203.0.113.9"}
    second = {**proxy, "HTTP_X_FORWARDED_FOR": "203.0.113.10"}
    assert attempts("nonsense", 6, **first)[-1] == 429
    assert attempts("nonsense", 1, **second) == [401]


def test_an_invented_forwarded_header_escapes_nothing(five_failures):
    codes = [
        attempts("nonsense", 1, HTTP_X_FORWARDED_FOR=f"203.0.113.{n}")[0]
        for n in range(6)
    ]
    assert codes == [401] * 5 + [429]


def test_a_request_without_any_key_is_no_attempt(five_failures):
    assert set(attempts(None, 8)) == {401}


class SlowlyBrokenCache(BaseCache):
    """A cache whose server is away; counts how often it was waited for."""

    asked = 0

    def __init__(self, location, options):
        super().__init__(options)

    def add(self, *args, **kwargs):
        type(self).asked += 1
        raise ConnectionError("planted")


@pytest.mark.parametrize(
    "backend",
    [
        "tests.apikeys.test_authentication.SlowlyBrokenCache",
        "django.core.cache.backends.dummy.DummyCache",
    ],
)
def test_without_a_cache_keys_still_work_and_failures_are_still_counted(
    settings, five_failures, issued, backend
):
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": "x"}}
    assert attempts(issued[1], 1) == [200]
    SlowlyBrokenCache.asked = 0
    assert attempts("nonsense", 7) == [401] * 5 + [429] * 2
    assert SlowlyBrokenCache.asked <= 1


def test_a_redis_that_is_away_is_asked_once(settings, five_failures, issued):
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
        }
    }
    assert attempts("nonsense", 7) == [401] * 5 + [429] * 2
    assert attempts(issued[1], 1) == [200]


def test_counts_are_shared_through_the_file_cache(
    settings, five_failures, issued, tmp_path
):
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": str(tmp_path),
        }
    }
    assert attempts("nonsense", 7) == [401] * 5 + [429] * 2


def test_a_database_that_cannot_be_written_still_lets_keys_in(issued):
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA query_only = ON")
        else:
            cursor.execute("SET TRANSACTION READ ONLY")
    try:
        assert attempts(issued[1], 1) == [200]
    finally:
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA query_only = OFF")
