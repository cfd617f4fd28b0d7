from __future__ import annotations

import re

import pytest

from apikeys import audit
from apikeys.audit import COMMAND_LINE, Actor
from apikeys.choices import ActorKind
from apikeys.models import AuditEvent
from scans.console.audit_log import ACTIONS

pytestmark = pytest.mark.django_db


def event(action: str = "scan.submit", actor: str = "", **detail: object) -> AuditEvent:
    return audit.record(
        action,
        actor=Actor(ActorKind.KEY, actor) if actor else COMMAND_LINE,
        object_type="scan",
        object_id="7",
        detail=detail,
    )


def actions(page) -> list[str]:
    return re.findall(r"<code>([a-z_]+\.[a-z_]+)</code>", page.content.decode())


def test_an_empty_log_says_what_will_stand_here(admin):
    assert b"Nothing has been changed yet" in admin.get("/audit").content


def test_events_are_listed_newest_first_and_filtered_by_the_address(admin):
    event("scan.submit", "ci")
    event("scan.cancel", "ci")
    event("policy.create")
    assert actions(admin.get("/audit")) == [
        "policy.create",
        "scan.cancel",
        "scan.submit",
    ]
    assert actions(admin.get("/audit?actor=ci")) == ["scan.cancel", "scan.submit"]
    assert actions(admin.get("/audit?action=policy.create")) == ["policy.create"]
    assert actions(admin.get("/audit?created_before=2020-01-01")) == []
    assert b"Nothing is like that" in admin.get("/audit?actor=nobody").content
    assert b"cannot be answered" in admin.get("/audit?who=ci").content


def test_what_an_event_tells_is_text_for_people(admin):
    event(
        fingerprint="v1:" + "ab" * 32,
        expires_at="2031-01-02T03:04:05+00:00",
        reason="<script>\u202e",
        grace_hours=24,
        counts={"a": 1},
        nothing=None,
    )
    page = admin.get("/audit").content.decode()
    assert ">v1:abababababab</code>" in page
    assert 'title="2031-01-02 03:04:05 UTC"' in page
    assert "&lt;script&gt;" in page
    assert "U+202E" in page
    assert "<dt>grace hours</dt><dd>24</dd>" in page
    assert "&quot;a&quot;: 1" in page
    assert "<dt>nothing</dt>" not in page


@pytest.mark.parametrize("role", ["viewer", "scanner"])
def test_the_log_is_for_admins(role, request):
    client = request.getfixturevalue(role)
    assert client.get("/audit").status_code == 403
    assert b"Audit log" not in client.get("/scans").content


def test_the_offered_actions_are_in_order_and_once():
    assert list(ACTIONS) == sorted(set(ACTIONS))
