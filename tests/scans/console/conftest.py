"""Clients of people of each role, signed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from django.test import Client


def _signed_in(name: str, role: str) -> Client:
    # Models cannot be imported before pytest-django has set Django up.
    from tests.scans.console.people import signed_in

    return signed_in(name, role)


@pytest.fixture
def viewer(db: None) -> Client:
    return _signed_in("vic", "viewer")


@pytest.fixture
def scanner(db: None) -> Client:
    return _signed_in("sam", "scanner")


@pytest.fixture
def admin(db: None) -> Client:
    return _signed_in("ada", "admin")
