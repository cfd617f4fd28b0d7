"""People of each role, for Django's test client."""

from __future__ import annotations

from django.contrib.auth.models import Group, User
from django.test import Client

PASSWORD = "correct-horse-battery"


def make_user(name: str, role: str = "", password: str | None = PASSWORD) -> User:
    """Return a new user; None as password spares its hash, a fifth of a second."""
    user = User.objects.create_user(name, password=password)
    if role:
        user.groups.add(Group.objects.get_or_create(name=role)[0])
    return user


def signed_in(name: str, role: str = "", **options: bool) -> Client:
    """Return a client of somebody new, who is let in without a password."""
    user = make_user(name, role, password=None)
    client = Client(**options)
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client
