"""People of each role, for Django's test client."""

from __future__ import annotations

from django.contrib.auth.models import Group, User
from django.test import Client

PASSWORD = "correct-horse-battery"


def make_user(name: str, role: str = "") -> User:
    user = User.objects.create_user(name, password=PASSWORD)
    if role:
        user.groups.add(Group.objects.get_or_create(name=role)[0])
    return user


def signed_in(name: str, role: str = "", **options: bool) -> Client:
    client = Client(**options)
    client.force_login(
        make_user(name, role), "django.contrib.auth.backends.ModelBackend"
    )
    return client
