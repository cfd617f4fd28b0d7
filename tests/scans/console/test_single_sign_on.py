from __future__ import annotations

import time

import pytest
from django.contrib.auth.models import User
from django.test import Client

from apikeys.models import AuditEvent
from tests.scans.console.people import make_user, signed_in
from tests.scans.console.provider import (
    CLIENT,
    KEY,
    SECRET,
    STRANGE_KEY,
    Provider,
    provider,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def idp(settings):
    with provider() as stand_in:
        settings.OIDC_ISSUER = stand_in.url
        settings.OIDC_CLIENT_ID = CLIENT
        settings.OIDC_CLIENT_SECRET = SECRET
        settings.OIDC_LABEL = "Sign in with Acme"
        settings.OIDC_GROUPS = {
            "viewer": ["staff"],
            "scanner": ["builders"],
            "admin": ["security"],
        }
        stand_in.claims = {"preferred_username": "vera", "groups": ["staff"]}
        yield stand_in


def sign_in(idp: Provider, client: Client | None = None, place: str = "", **changed):
    """Go to the provider and come back; `changed` is what comes back otherwise."""
    client = client or Client()
    away = client.get("/sign-in/sso", {"next": place})
    assert away.status_code == 302, away.content
    return client.get("/sign-in/back", idp.let_in(away["Location"]) | changed)


def is_in(client: Client) -> bool:
    return client.get("/scans").status_code == 200


def test_without_a_provider_there_is_no_such_door():
    assert Client().get("/sign-in/sso").status_code == 404
    assert Client().get("/sign-in/back").status_code == 404
    assert b"/sign-in/sso" not in Client().get("/sign-in").content


def test_somebody_of_a_group_is_signed_in_with_its_role(idp):
    page = Client().get("/sign-in?next=/audit").content.decode()
    assert "Sign in with Acme" in page
    assert 'href="/sign-in/sso?next=%2Faudit"' in page
    client = Client()
    back = sign_in(idp, client, "/scans?verdict=fail")
    assert back["Location"] == "/scans?verdict=fail"
    assert is_in(client)
    assert client.get("/audit").status_code == 403
    user = User.objects.get()
    assert user.username.startswith("vera~")
    assert not user.has_usable_password()
    assert not user.is_staff
    event = AuditEvent.objects.get(action="user.sign_in")
    assert event.actor == user.username
    assert event.detail == {"by": "single sign-on", "role": "viewer"}


def test_the_greatest_role_counts_and_follows_the_groups(idp):
    idp.claims["groups"] = ["staff", "security", "cooks"]
    client = Client()
    sign_in(idp, client)
    assert client.get("/audit").status_code == 200
    idp.claims["groups"] = ["builders"]
    again = Client()
    sign_in(idp, again)
    # Of both sessions: the role is the account's.
    assert again.get("/audit").status_code == 403
    assert client.get("/audit").status_code == 403
    assert list(User.objects.get().groups.values_list("name", flat=True)) == ["scanner"]


@pytest.mark.parametrize(
    "groups", [[], ["cooks"], None, {"staff": 1}, 7, "cooks", [["staff"]]]
)
def test_who_has_no_group_of_ours_stays_outside(idp, groups):
    idp.claims["groups"] = groups
    client = Client()
    page = sign_in(idp, client)
    assert page.status_code == 403
    assert b"none of your groups has a role here" in page.content
    assert not is_in(client)
    assert not User.objects.exists()


def test_a_name_of_somebody_else_gives_nobody_their_account(idp):
    ada = make_user("ada", "admin")
    idp.claims["preferred_username"] = "ada"
    client = Client()
    sign_in(idp, client)
    assert client.get("/audit").status_code == 403
    assert User.objects.exclude(pk=ada.pk).get().username.startswith("ada~")


def test_the_same_subject_is_the_same_account_whatever_its_name(idp):
    sign_in(idp)
    idp.claims["preferred_username"] = "vera-married"
    sign_in(idp)
    assert User.objects.count() == 1
    idp.claims["sub"] = "subject-2"
    sign_in(idp)
    assert User.objects.count() == 2


@pytest.mark.parametrize("name", ["~~", "a/b<script>~0", "x" * 400, 7, ""])
def test_a_name_is_made_fit_to_be_one(idp, name):
    idp.claims["preferred_username"] = name
    client = Client()
    sign_in(idp, client)
    assert is_in(client)
    assert User.objects.get().username.count("~") == 1


def test_groups_may_come_with_the_user_info(idp):
    del idp.claims["groups"]
    idp.info = {"sub": "subject-1", "groups": ["staff"]}
    client = Client()
    sign_in(idp, client)
    assert is_in(client)


def test_user_info_of_somebody_else_is_not_believed(idp):
    del idp.claims["groups"]
    idp.info = {"sub": "subject-2", "groups": ["security"]}
    client = Client()
    assert sign_in(idp, client).status_code == 403
    assert not is_in(client)


@pytest.mark.parametrize(
    "lie",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another-client"},
        {"iss": "https://elsewhere.example"},
        {"exp": int(time.time()) - 3600},
        {"sub": None},
    ],
)
def test_a_token_that_is_not_for_this_sign_in_is_not_believed(idp, lie):
    idp.claims |= lie
    client = Client()
    page = sign_in(idp, client)
    assert page.status_code == 403
    assert b"did not vouch for you" in page.content
    assert not is_in(client)
    assert not User.objects.exists()


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ({"alg": "RS256"}, STRANGE_KEY),
        ({"alg": "none"}, KEY),
        ({"alg": "HS256"}, SECRET.encode()),
        ({"alg": "HS256"}, KEY.as_pem(private=False)),
    ],
)
def test_a_token_that_the_provider_did_not_sign_is_not_believed(idp, header, key):
    idp.header, idp.signed_by = header, key
    client = Client()
    assert sign_in(idp, client).status_code == 403
    assert not is_in(client)


def test_who_comes_back_from_another_browser_is_not_signed_in(idp):
    away = Client().get("/sign-in/sso")
    victim = Client()
    page = victim.get("/sign-in/back", idp.let_in(away["Location"]))
    assert page.status_code == 403
    assert not is_in(victim)


def test_a_changed_state_or_code_is_refused(idp):
    for changed in ({"state": "x"}, {"code": "x"}, {"error": "access_denied"}):
        client = Client()
        assert sign_in(idp, client, **changed).status_code == 403, changed
        assert not is_in(client)
    assert Client().get("/sign-in/back").status_code == 403


def test_a_way_back_is_gone_once(idp):
    client = Client()
    away = client.get("/sign-in/sso")
    told = idp.let_in(away["Location"])
    assert client.get("/sign-in/back", told).status_code == 302
    assert client.get("/sign-in/back", told).status_code == 403


def test_metadata_of_another_issuer_are_not_believed(idp):
    idp.issuer = "https://elsewhere.example"
    page = Client().get("/sign-in/sso")
    assert page.status_code == 403
    assert b"Not signed in" in page.content


def test_a_provider_that_is_away_is_said_so(idp):
    idp.is_silent = True
    assert Client().get("/sign-in/sso").status_code == 403


def test_a_closed_account_stays_closed(idp):
    sign_in(idp)
    User.objects.update(is_active=False)
    client = Client()
    page = sign_in(idp, client)
    assert b"account here is closed" in page.content
    assert not is_in(client)


def test_nobody_is_sent_to_another_site_afterwards(idp):
    for place in ("https://evil.example/", "//evil.example", "javascript:alert(1)"):
        assert sign_in(idp, place=place)["Location"] == "/"


def test_signing_in_gives_a_new_session(idp):
    client = signed_in("vic", "viewer")
    before = client.session.session_key
    sign_in(idp, client)
    assert client.session.session_key != before


def test_the_way_back_is_the_public_address(idp, settings):
    settings.PUBLIC_URL = "https://scan.example"
    away = Client().get("/sign-in/sso")["Location"]
    assert "redirect_uri=https%3A%2F%2Fscan.example%2Fsign-in%2Fback" in away
    assert "code_challenge_method=S256" in away
