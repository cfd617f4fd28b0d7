from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.urls import reverse

from apikeys.admin import CappedPaginator
from apikeys.models import ApiKey, AuditEvent

pytestmark = pytest.mark.django_db
KEYS = "/admin/apikeys/apikey/"
EVENTS = "/admin/apikeys/auditevent/"


@pytest.fixture
def browser(client):
    """An operator: staff, and in the group of admins."""
    user = User.objects.create(username="olga", is_staff=True)
    user.groups.add(Group.objects.get_or_create(name="admin")[0])
    client.force_login(user)
    return client


def revoke(browser, *keys: ApiKey):
    return browser.post(
        KEYS,
        {"action": "revoke_selected", "_selected_action": [key.pk for key in keys]},
        follow=True,
    )


def test_selected_keys_are_revoked_with_an_event_each(browser):
    one, _ = ApiKey.objects.issue(name="one", role="viewer")
    two, _ = ApiKey.objects.rotate(one, 5)
    kept, _ = ApiKey.objects.issue(name="kept", role="viewer")
    response = revoke(browser, one, two)
    assert b"Revoked 2 key(s)." in response.content
    assert list(ApiKey.objects.active()) == [kept]
    events = AuditEvent.objects.filter(action="api_key.revoke", actor="olga")
    assert {event.object_id for event in events} == {str(one.pk), str(two.pk)}
    assert {event.actor_kind for event in events} == {"user"}


def test_the_list_says_how_to_make_a_key_and_shows_no_digest(browser):
    key, _ = ApiKey.objects.issue(name="one", role="viewer")
    page = browser.get(KEYS).content.decode()
    assert "sentrascan auth create" in page
    assert "one" in page
    detail = browser.get(reverse("admin:apikeys_apikey_change", args=[key.pk]))
    assert detail.status_code == 200
    assert key.digest not in page + detail.content.decode()


def test_nobody_adds_changes_or_deletes_there(browser):
    key, _ = ApiKey.objects.issue(name="one", role="viewer")
    event = AuditEvent.objects.create(
        actor="a", actor_kind="key", action="x.do", object_type="x", object_id="1"
    )
    for base, pk in ((KEYS, key.pk), (EVENTS, event.pk)):
        assert browser.get(base).status_code == 200
        assert browser.get(f"{base}{pk}/change/").status_code == 200
        assert browser.post(f"{base}{pk}/change/", {"role": "admin"}).status_code == 403
        assert browser.get(f"{base}add/").status_code == 403
        assert browser.post(f"{base}{pk}/delete/", {"post": "yes"}).status_code == 403
    assert ApiKey.objects.get().role == "viewer"


def test_staff_with_a_smaller_role_sees_nothing(client):
    user = User.objects.create(username="vera", is_staff=True)
    user.groups.add(Group.objects.get_or_create(name="scanner")[0])
    client.force_login(user)
    key, _ = ApiKey.objects.issue(name="one", role="viewer")
    assert client.get(KEYS).status_code == 403
    assert client.get(EVENTS).status_code == 403
    revoke(client, key)
    assert ApiKey.objects.active().exists()


def test_events_are_found_by_actor_or_action(browser):
    for actor, action in [("anna", "x.do"), ("bert", "y.do")]:
        AuditEvent.objects.create(
            actor=actor, actor_kind="key", action=action, object_type="x", object_id="1"
        )
    for query in ("anna", "x.do"):
        page = browser.get(EVENTS, {"q": query}).content.decode()
        assert "anna" in page
        assert "bert" not in page


def test_a_long_list_is_counted_only_so_far(browser, monkeypatch):
    monkeypatch.setattr("apikeys.admin.COUNTED", 3)
    for number in range(5):
        ApiKey.objects.issue(name=f"key {number}", role="viewer")
    assert CappedPaginator(ApiKey.objects.all(), 2).count == 3
    assert CappedPaginator([1, 2, 3, 4, 5], 2).count == 5
    assert browser.get(KEYS).status_code == 200
