"""`welcome`, the greeting of `make run` (its journey: tests/project/test_local.py)."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from apikeys.models import ApiKey
from scans.management.commands import welcome


@pytest.mark.django_db
def test_it_makes_no_key_where_no_server_answers(monkeypatch, settings):
    monkeypatch.setattr(welcome, "READY_SECONDS", 0.5)
    settings.PORT = 1
    with pytest.raises(CommandError, match="has not answered"):
        call_command("welcome")
    assert not ApiKey.objects.exists()


@pytest.mark.django_db
def test_first_secrets_are_made_once():
    password, key = welcome.first_secrets()
    assert password
    assert key
    assert welcome.first_secrets() == ("", "")
