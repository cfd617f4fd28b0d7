from __future__ import annotations

import re

import pytest
from django.test import Client

from apikeys import keyring
from apikeys.audit import COMMAND_LINE
from apikeys.models import ApiKey, AuditEvent

pytestmark = pytest.mark.django_db


def make_key(name: str = "ci", role: str = "scanner") -> tuple[ApiKey, str]:
    return keyring.create(name=name, role=role, actor=COMMAND_LINE)


def shown_key(page) -> str:
    found = re.search(r'aria-label="The key">([^<]+)<', page.content.decode())
    assert found, page.content
    return found[1]


def opens(key: str, path: str = "/api/v1/scans") -> bool:
    return Client().get(path, headers={"X-API-Key": key}).status_code == 200


def test_without_a_key_the_page_says_what_to_do(admin):
    assert b"No machine may call yet" in admin.get("/keys").content


def test_a_new_key_is_shown_once_and_opens_the_door(admin):
    form = {"name": "ci-main", "role": "viewer", "expires_in_days": "7"}
    page = admin.post("/keys/new", form)
    assert page.status_code == 200
    assert "no-store" in page["Cache-Control"]
    key = shown_key(page)
    assert opens(key)
    row = ApiKey.objects.get()
    assert (row.name, row.role, row.created_by) == ("ci-main", "viewer", "ada")
    assert round((row.expires_at - row.created_at).total_seconds()) == 7 * 86_400
    assert key not in admin.get("/keys").content.decode()
    assert key not in str(list(admin.session.items()))


def test_a_key_without_an_end_has_none(admin):
    admin.post("/keys/new", {"name": "ci", "role": "viewer", "expires_in_days": ""})
    assert ApiKey.objects.get().expires_at is None


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"name": "ci", "role": "viewer"}, "has this name already"),
        ({"name": "-ci", "role": "viewer"}, "begins with a letter"),
        ({"name": "other", "role": "root"}, "Select a valid choice"),
        (
            {"name": "other", "role": "viewer", "expires_in_days": "0"},
            "greater than or equal to 1",
        ),
    ],
)
def test_what_makes_no_key_is_said_beside_its_field(admin, form, said):
    make_key("ci")
    page = admin.post("/keys/new", form)
    assert said in page.content.decode()
    assert ApiKey.objects.count() == 1


def test_a_rotated_key_has_a_successor_that_is_shown_once(admin):
    key, old = make_key()
    page = admin.post(f"/keys/{key.pk}/rotate", {"grace_hours": "0"})
    new = shown_key(page)
    assert opens(new)
    assert not opens(old)
    again = admin.post(f"/keys/{key.pk}/rotate", {"grace_hours": "1"}, follow=True)
    assert b"replaced already" in again.content
    assert ApiKey.objects.count() == 2


@pytest.mark.parametrize("hours", ["", "-1", "x", "99999"])
def test_a_grace_that_is_none_is_refused(admin, hours):
    key, old = make_key()
    page = admin.post(f"/keys/{key.pk}/rotate", {"grace_hours": hours}, follow=True)
    assert b"whole number from 0 to" in page.content
    assert opens(old)


def test_a_revoked_key_opens_nothing(admin):
    key, plain = make_key()
    page = admin.post(f"/keys/{key.pk}/revoke", follow=True)
    assert b"is revoked" in page.content
    assert not opens(plain)
    # Neither verb is offered for it any more.
    assert f"/keys/{key.pk}/" not in page.content.decode()


def test_the_list_says_state_and_last_use(admin):
    key, plain = make_key("old")
    opens(plain)
    make_key("fresh")
    keyring.revoke("old", actor=COMMAND_LINE)
    page = admin.get("/keys").content.decode()
    assert re.findall(r"</svg>(active|revoked)<", page) == ["active", "revoked"]
    assert "127.0.0.1" in page
    assert key.public_id in page
    assert key.digest not in page


def test_each_change_is_an_event_in_the_name_of_the_person(admin):
    admin.post("/keys/new", {"name": "ci", "role": "viewer"})
    key = ApiKey.objects.get()
    admin.post(f"/keys/{key.pk}/rotate", {"grace_hours": "1"})
    admin.post(f"/keys/{key.pk}/revoke")
    events = AuditEvent.objects.order_by("created_at")
    assert list(events.values_list("action", "actor", "actor_kind", "ip")) == [
        ("api_key.create", "ada", "user", "127.0.0.1"),
        ("api_key.rotate", "ada", "user", "127.0.0.1"),
        ("api_key.revoke", "ada", "user", "127.0.0.1"),
    ]


@pytest.mark.parametrize("role", ["viewer", "scanner"])
def test_only_an_admin_touches_keys(role, request):
    client = request.getfixturevalue(role)
    key, plain = make_key()
    for path in (f"/keys/{key.pk}/rotate", f"/keys/{key.pk}/revoke", "/keys/new"):
        form = {"name": "x", "role": "admin", "grace_hours": "0"}
        assert client.post(path, form).status_code == 403, path
    assert opens(plain)
    assert ApiKey.objects.count() == 1
    assert b"API keys" not in client.get("/scans").content


def test_a_key_that_is_not_there_is_a_404(admin):
    gone = "00000000-0000-0000-0000-000000000000"
    form = {"grace_hours": "0"}
    assert admin.post(f"/keys/{gone}/rotate", form).status_code == 404
    assert admin.post(f"/keys/{gone}/revoke").status_code == 404
