"""Imports what needs Django only inside: pytest reads this before it is set up."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def probe_routes(settings):
    settings.ROOT_URLCONF = "tests.apikeys.probe"


@pytest.fixture(autouse=True)
def no_failures(settings):
    from django.core.cache import cache

    from apikeys import failures

    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    }
    cache.clear()
    failures.reset()


@pytest.fixture
def client_as(db):
    """Return a function: role -> a client with a new key of that role."""
    from apikeys.models import ApiKey
    from tests.apikeys.clients import KeyClient

    def make(role: str) -> KeyClient:
        _, plain = ApiKey.objects.issue(name=f"the {role}", role=role)
        return KeyClient(plain)

    return make
