from __future__ import annotations

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from apikeys.models import AuditEvent
from tests.scans.console.people import PASSWORD, make_user, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_failures_counted() -> None:
    cache.clear()


def sign_in(client: Client, name: str = "vic", password: str = PASSWORD, **more: str):
    return client.post("/sign-in", {"username": name, "password": password, **more})


def test_the_root_leads_to_the_console():
    assert Client().get("/")["Location"] == "/sign-in?next=/"
    assert signed_in("vic", "viewer").get("/", follow=True).status_code == 200


def test_a_stranger_is_sent_to_sign_in_and_back():
    make_user("vic", "viewer")
    client = Client()
    place = client.get("/scans?verdict=fail")["Location"]
    assert place == "/sign-in?next=/scans%3Fverdict%3Dfail"
    assert client.get(place).status_code == 200
    assert sign_in(client, next="/scans?verdict=fail")["Location"] == (
        "/scans?verdict=fail"
    )


@pytest.mark.parametrize(
    ("referer", "place"),
    [
        ("http://testserver/new-policy?a=1", "/sign-in?next=/new-policy%3Fa%3D1"),
        ("https://evil.example/new-policy", "/sign-in?next=/"),
        ("", "/sign-in?next=/"),
    ],
)
def test_who_sends_a_form_after_the_end_comes_back_to_the_form(
    referer: str, place: str
) -> None:
    answer = Client().post("/new-policy", headers={"referer": referer})
    assert answer["Location"] == place


def test_nobody_is_sent_to_another_site():
    make_user("vic", "viewer")
    for place in ("https://evil.example/", "//evil.example", "javascript:alert(1)"):
        assert sign_in(Client(), next=place)["Location"] == "/"


def test_passwords_are_kept_as_argon2():
    assert make_user("vic").password.startswith("argon2$")


def test_signing_in_and_out_is_in_the_audit_log():
    make_user("vic", "viewer")
    client = Client()
    sign_in(client)
    client.post("/sign-out")
    assert client.get("/scans").status_code == 302
    said = AuditEvent.objects.order_by("created_at")
    assert list(said.values_list("action", "actor", "ip")) == [
        ("user.sign_in", "vic", "127.0.0.1"),
        ("user.sign_out", "vic", "127.0.0.1"),
    ]


def test_signing_in_gives_a_new_session():
    make_user("vic", "viewer")
    client = Client()
    client.get("/sign-in")
    session = client.session
    session["mark"] = 1
    session.save()
    before = session.session_key
    sign_in(client)
    assert client.session.session_key != before


def test_a_wrong_password_is_told_as_a_wrong_name_is():
    make_user("vic", "viewer")
    known = sign_in(Client(), password="wrong").content
    unknown = sign_in(Client(), name="nobody", password="wrong").content
    assert b"do not fit together" in known
    assert b"do not fit together" in unknown


def test_five_wrong_passwords_shut_the_name_out_at_this_address_only():
    make_user("vic", "viewer")
    client = Client()
    for _ in range(settings.AXES_FAILURE_LIMIT - 1):
        assert sign_in(client, password="wrong").status_code == 200
    refused = sign_in(client, password="wrong")
    assert refused.status_code == 429
    assert int(refused["Retry-After"]) == 15 * 60
    assert b"closed for 15 minutes" in refused.content
    assert sign_in(client).status_code == 429, "the right password opens it"
    elsewhere = Client(REMOTE_ADDR="192.0.2.7")
    assert sign_in(elsewhere)["Location"] == "/"


def test_an_address_that_tries_many_names_is_shut_out_too(settings):
    settings.AUTH_FAILURES_PER_MINUTE = 3
    client = Client(REMOTE_ADDR="198.51.100.9")
    answers = [
        sign_in(client, name=f"n{n}", password="wrong").status_code for n in range(8)
    ]
    # A minute may end in between, and the count begins anew.
    assert answers[0] == 200
    assert 429 in answers


def test_the_admin_is_guarded_by_the_same_count():
    make_user("vic", "viewer")
    client = Client()
    for _ in range(settings.AXES_FAILURE_LIMIT):
        page = client.post("/admin/login/", {"username": "vic", "password": "wrong"})
    assert page.status_code == 429


def test_a_changed_password_ends_the_other_sessions():
    make_user("vic", "viewer")
    here, there = Client(), Client()
    sign_in(here)
    sign_in(there)
    weak = {"old_password": PASSWORD, "new_password1": "x", "new_password2": "x"}
    assert b"too short" in here.post("/password", weak).content
    new = "another-long-phrase"
    strong = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert here.post("/password", strong)["Location"] == "/"
    assert here.get("/scans").status_code == 200
    assert there.get("/scans").status_code == 302
    assert User.objects.get(username="vic").check_password(new)
    assert AuditEvent.objects.filter(action="user.change_password").count() == 1


def test_a_user_without_a_role_is_told_so():
    page = signed_in("nil").get("/scans")
    assert page.status_code == 403
    assert b"needs the role viewer" in page.content


def test_a_stale_form_says_what_to_do():
    client = Client(enforce_csrf_checks=True)
    page = client.post("/sign-in", {"username": "vic", "password": "x"})
    assert page.status_code == 403
    assert b"This form is too old" in page.content


def test_the_theme_is_kept_and_nothing_else_is_taken(viewer):
    viewer.post("/theme", {"theme": "dark", "next": "/scans"})
    assert b'data-theme="dark"' in viewer.get("/scans").content
    viewer.post("/theme", {"theme": '"><script>', "next": "/scans"})
    assert b'data-theme="dark"' in viewer.get("/scans").content
    viewer.cookies["theme"] = "<b>"
    assert b'data-theme="auto"' in viewer.get("/scans").content
    moved = viewer.post("/theme", {"theme": "light", "next": "https://evil.example"})
    assert moved["Location"] == "/"


def test_an_expired_session_leads_a_part_of_a_page_to_sign_in():
    part = Client().get("/scans", headers={"HX-Request": "true"})
    assert (part.status_code, part["HX-Redirect"]) == (401, "/sign-in")
