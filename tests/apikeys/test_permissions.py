from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.test import RequestFactory

from apikeys.audit import Actor
from apikeys.authentication import Unauthenticated, actor_of
from apikeys.permissions import Role, role_of, role_of_user

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("role", "reads", "writes"),
    [("viewer", 200, 403), ("scanner", 200, 202), ("admin", 200, 202)],
)
def test_each_role_may_what_the_smaller_may(client_as, role, reads, writes):
    client = client_as(role)
    assert client.get("/probe").status_code == reads
    assert client.head("/probe").status_code == reads
    assert client.options("/probe").status_code == 200
    assert client.send("/probe").status_code == writes


def test_a_view_that_names_no_role_is_closed(client_as):
    assert client_as("admin").get("/undeclared").status_code == 403


def test_a_method_that_a_view_does_not_have_is_405_and_names_the_others(client_as):
    response = client_as("viewer").delete("/probe")
    assert response.status_code == 405
    assert "POST" in response.headers["Allow"]


def test_without_a_key_everything_is_401(client):
    for method in (client.get, client.post, client.delete, client.options):
        assert method("/probe").status_code == 401


def user(name: str, *groups: str, **more) -> User:
    made = User.objects.create(username=name, **more)
    for group in groups:
        made.groups.add(Group.objects.get_or_create(name=group)[0])
    return made


def test_a_user_has_the_greatest_role_of_his_groups():
    assert role_of_user(user("a", "viewer", "scanner")) is Role.SCANNER
    assert role_of_user(user("b", "admin", "viewer")) is Role.ADMIN
    assert role_of_user(user("c", "others")) is None
    assert role_of_user(user("d", is_superuser=True)) is Role.ADMIN
    assert role_of_user(user("e", "admin", is_active=False)) is None
    assert role_of_user(AnonymousUser()) is None


def test_a_browser_request_acts_as_its_user():
    request = RequestFactory().get("/")
    request.user = user("olga", "viewer")
    assert role_of(request) is Role.VIEWER
    assert actor_of(request) == Actor("user", "olga")
    request.user = AnonymousUser()
    with pytest.raises(Unauthenticated):
        actor_of(request)
