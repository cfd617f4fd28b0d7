from __future__ import annotations

import re
import uuid
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from apikeys import keys
from apikeys.models import ApiKey, AuditEvent
from tests.apikeys.clients import KeyClient

pytestmark = pytest.mark.django_db
KEYS = "/api/v1/api-keys"
EVENTS = "/api/v1/audit-events"


@pytest.fixture
def admin(client_as):
    return client_as("admin")


def test_only_an_admin_comes_near_keys_and_events(client_as):
    key_id = uuid.uuid4()
    for role in ("viewer", "scanner"):
        client = client_as(role)
        assert client.get(KEYS).status_code == 403
        assert client.get(f"{KEYS}/{key_id}").status_code == 403
        assert client.get(EVENTS).status_code == 403
        assert client.send(KEYS, {"name": "x", "role": "admin"}).status_code == 403
        assert client.send(f"{KEYS}/{key_id}/revoke").status_code == 403
        assert client.send(f"{KEYS}/{key_id}/rotate").status_code == 403
    assert ApiKey.objects.count() == 2


def test_a_made_key_is_shown_once_and_works(admin):
    response = admin.send(KEYS, {"name": "ci", "role": "viewer", "expires_in_days": 7})
    assert response.status_code == 201
    assert response.headers["Cache-Control"] == "no-store"
    made = response.json()
    plain = made.pop("key")
    assert keys.parse(plain).public_id == made["public_id"]
    assert KeyClient(plain).get("/probe").json() == {"name": "ci"}
    assert response.headers["Location"] == f"{KEYS}/{made['key_id']}"
    detail = admin.get(response.headers["Location"])
    shown = detail.json()
    assert shown.pop("last_used_at")
    assert made.pop("last_used_at") is None
    assert shown.pop("last_used_ip") == "127.0.0.1"
    made.pop("last_used_ip")
    assert shown == made
    assert (made["created_by"], made["state"]) == ("the admin", "active")
    for name in ("created_at", "expires_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", made[name])
    secret = keys.parse(plain).secret
    for path in (KEYS, EVENTS, response.headers["Location"]):
        body = admin.get(path).content.decode()
        assert secret not in body
        assert "digest" not in body


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "name"),
        ({"name": "a"}, "role"),
        ({"name": "a", "role": "root"}, "role"),
        ({"name": "a", "role": ["viewer"]}, "role"),
        ({"name": 5, "role": "viewer"}, "name"),
        ({"name": "", "role": "viewer"}, "name"),
        ({"name": " a", "role": "viewer"}, "name"),
        ({"name": "x" * 101, "role": "viewer"}, "name"),
        ({"name": "a\x00", "role": "viewer"}, "name"),
        ({"name": "\ud800", "role": "viewer"}, "name"),
        ({"name": str(uuid.uuid4()), "role": "viewer"}, "name"),
        ({"name": "a", "role": "viewer", "expires_in_days": 0}, "expires_in_days"),
        ({"name": "a", "role": "viewer", "expires_in_days": "7"}, "expires_in_days"),
        ({"name": "a", "role": "viewer", "expires_in_days": True}, "expires_in_days"),
        ({"name": "a", "role": "viewer", "expires_in_days": 1e9}, "expires_in_days"),
        ({"name": "a", "role": "viewer", "expires_in_days": 10**30}, "expires_in_days"),
        ({"name": "a", "role": "viewer", "is_revoked": False}, "is_revoked"),
        ({"name": "a", "role": "viewer", "expiry": 7}, "expiry"),
    ],
)
def test_a_bad_body_is_400_naming_the_field_and_changes_nothing(admin, body, named):
    response = admin.send(KEYS, body)
    assert response.status_code == 400
    assert named in response.content.decode()
    assert ApiKey.objects.count() == 1
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("body", [b"[]", b'"a"', b"5", b"null", b"{", b"\xff"])
def test_a_body_that_is_no_object_is_400(admin, body):
    response = admin.post(KEYS, body, content_type="application/json")
    assert response.status_code == 400


def test_a_live_name_is_409(admin):
    body = {"name": "ci", "role": "viewer"}
    assert admin.send(KEYS, body).status_code == 201
    assert admin.send(KEYS, body).status_code == 409
    assert ApiKey.objects.filter(name="ci").count() == 1
    ApiKey.objects.revoke("ci")
    assert admin.send(KEYS, body).status_code == 201


def test_the_list_is_newest_first(admin):
    for name in ("one", "two"):
        ApiKey.objects.issue(name=name, role="viewer")
    names = [row["name"] for row in admin.get(KEYS).json()]
    assert names == ["two", "one", "the admin"]


@pytest.mark.parametrize("path", [KEYS, EVENTS])
def test_an_unknown_query_parameter_is_400_and_named(admin, path):
    response = admin.get(f"{path}?limti=5")
    assert response.status_code == 400
    assert "limti" in response.content.decode()


def test_a_revoked_key_is_refused_at_once_and_revoking_is_idempotent(admin):
    key, plain = ApiKey.objects.issue(name="ci", role="viewer")
    for _ in range(2):
        response = admin.send(f"{KEYS}/{key.pk}/revoke")
        assert response.status_code == 200
        assert response.json()["is_revoked"] is True
        assert response.json()["state"] == "revoked"
    assert KeyClient(plain).get("/probe").status_code == 401
    assert AuditEvent.objects.filter(action="api_key.revoke").count() == 1


def test_rotation_answers_the_successor_and_leaves_the_old_its_grace(admin):
    key, plain = ApiKey.objects.issue(name="ci", role="viewer")
    response = admin.send(f"{KEYS}/{key.pk}/rotate", {"grace_hours": 1})
    assert response.status_code == 201
    assert response.headers["Cache-Control"] == "no-store"
    successor = response.json()
    assert successor["rotated_from"] == str(key.pk)
    assert response.headers["Location"] == f"{KEYS}/{successor['key_id']}"
    for good in (plain, successor["key"]):
        assert KeyClient(good).get("/probe").json() == {"name": "ci"}
    assert admin.get(f"{KEYS}/{key.pk}").json()["state"] == "grace"
    assert admin.send(f"{KEYS}/{key.pk}/rotate").status_code == 409


@pytest.mark.parametrize("body", [{"grace_hours": -1}, {"grace_hours": "1"}, {"x": 1}])
def test_a_bad_rotation_is_400(admin, body):
    key, _ = ApiKey.objects.issue(name="ci", role="viewer")
    assert admin.send(f"{KEYS}/{key.pk}/rotate", body).status_code == 400
    assert admin.send(f"{KEYS}/{key.pk}/revoke", body).status_code == 400
    assert ApiKey.objects.active().count() == 2


def test_an_unknown_key_is_404(admin):
    unknown = f"{KEYS}/{uuid.uuid4()}"
    assert admin.get(unknown).status_code == 404
    assert admin.send(f"{unknown}/revoke").status_code == 404
    assert admin.send(f"{unknown}/rotate").status_code == 404


def test_every_change_leaves_who_what_and_whence(admin, settings):
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    made = admin.send(
        KEYS, {"name": "ci", "role": "viewer"}, X_Forwarded_For="203.0.113.9"
    ).json()
    new = admin.send(f"{KEYS}/{made['key_id']}/rotate").json()
    admin.send(f"{KEYS}/{new['key_id']}/revoke")
    events = admin.get(EVENTS).json()
    assert [(event["action"], event["object_id"]) for event in events] == [
        ("api_key.revoke", new["key_id"]),
        ("api_key.rotate", made["key_id"]),
        ("api_key.create", made["key_id"]),
    ]
    first = events[-1]
    assert (first["actor"], first["actor_kind"]) == ("the admin", "key")
    assert first["ip"] == "203.0.113.9"
    assert first["detail"] == {"name": "ci", "role": "viewer", "expires_at": None}
    assert events[1]["detail"]["successor"] == new["key_id"]


def test_events_are_filtered_by_actor_action_and_time(admin):
    now = timezone.now()
    for hours, actor, action in [(3, "a", "x.do"), (2, "b", "x.do"), (1, "a", "y.do")]:
        AuditEvent.objects.create(
            created_at=now - timedelta(hours=hours),
            actor=actor,
            actor_kind="key",
            action=action,
            object_type="x",
            object_id="1",
        )

    def found(**query):
        response = admin.get(f"{EVENTS}?{urlencode(query)}")
        assert response.status_code == 200
        return [(event["actor"], event["action"]) for event in response.json()]

    middle = (now - timedelta(hours=2, minutes=30)).isoformat()
    assert found(actor="a") == [("a", "y.do"), ("a", "x.do")]
    assert found(action="x.do", actor="b") == [("b", "x.do")]
    assert found(created_after=middle) == [("a", "y.do"), ("b", "x.do")]
    assert found(created_before=middle) == [("a", "x.do")]
    assert found(actor="nobody") == []


@pytest.mark.parametrize("value", ["yesterday", "2026-13-01", "9" * 40])
def test_a_bad_time_is_400(admin, value):
    assert admin.get(f"{EVENTS}?created_after={value}").status_code == 400


def test_lists_cost_the_same_number_of_queries_whatever_their_length(
    admin, django_assert_max_num_queries
):
    admin.get(KEYS)
    old, _ = ApiKey.objects.issue(name="old", role="viewer")
    for _ in range(10):
        old, _ = ApiKey.objects.rotate(old, 1)
    with django_assert_max_num_queries(3):
        assert len(admin.get(KEYS).json()) == 12


def test_lists_are_paged_by_links(admin):
    for number in range(3):
        ApiKey.objects.issue(name=f"key {number}", role="viewer")
    names, path = [], f"{KEYS}?limit=2"
    while path:
        response = admin.get(path)
        assert response.headers["X-Total-Count"] == "4"
        names += [row["name"] for row in response.json()]
        following = re.search(
            r'<([^>]+)>; rel="next"', response.headers.get("Link", "")
        )
        path = following and following[1].removeprefix("http://testserver")
    assert names == ["key 2", "key 1", "key 0", "the admin"]


def test_a_refusal_is_a_problem_that_points_at_the_field(admin):
    response = admin.send(KEYS, {"name": "a", "role": "root"})
    assert response.headers["Content-Type"] == "application/problem+json"
    assert [error["pointer"] for error in response.json()["errors"]] == ["/role"]
