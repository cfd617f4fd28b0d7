"""GET /api/v1/health, word for word."""

from __future__ import annotations

import pytest
from django.test import Client
from rest_framework.test import APIClient

from tests.project.test_api import database_away

pytestmark = pytest.mark.django_db
URL = "/api/v1/health"


def test_it_answers_the_very_bytes(client: Client) -> None:
    answer = client.get(URL)
    assert (answer.status_code, answer.content) == (200, b'{"status": "ok"}')
    assert answer["Content-Type"] == "application/json"
    assert client.head(URL).status_code == 200


def test_a_valid_key_changes_nothing_and_counts_nothing(viewer_api: APIClient) -> None:
    answer = viewer_api.get(URL)
    assert answer.content == b'{"status": "ok"}'
    assert "RateLimit" not in answer


@pytest.mark.parametrize(
    "headers", [{"X-API-Key": "wrong"}, {"Authorization": "Bearer wrong"}]
)
def test_a_key_that_is_not_valid_is_401(client: Client, headers: dict) -> None:
    answer = client.get(URL, headers=headers)
    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["WWW-Authenticate"]


@pytest.mark.parametrize("has_key", [False, True])
def test_without_the_database_it_is_503(viewer_api: APIClient, has_key: bool) -> None:
    client = viewer_api if has_key else Client()
    with database_away():
        answer = client.get(URL)
    assert (answer.status_code, answer.content) == (503, b'{"status": "unavailable"}')
    assert answer["Retry-After"]


def test_the_process_lives_without_the_database(client: Client) -> None:
    with database_away():
        assert client.get("/livez").status_code == 200


def test_a_parameter_is_refused(client: Client) -> None:
    assert client.get(f"{URL}?deep=1").status_code == 400
