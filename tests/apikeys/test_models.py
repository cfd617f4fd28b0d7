from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from apikeys import keys
from apikeys.choices import KeyState
from apikeys.models import ApiKey, DuplicateName, NotLive
from tests.apikeys.clients import mistyped

pytestmark = pytest.mark.django_db


def issue(name="ci", role="scanner", **more):
    return ApiKey.objects.issue(name=name, role=role, **more)


def sql(text, *values):
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        return cursor.rowcount


def test_it_stores_no_secret():
    key, plain = issue()
    secret = keys.parse(plain).secret
    stored = ApiKey.objects.filter(pk=key.pk).values().get()
    assert secret not in str(stored)
    assert secret not in str(key) + repr(key)


def test_it_knows_a_good_key_by_one_query(django_assert_num_queries):
    key, plain = issue()
    with django_assert_num_queries(1):
        found = ApiKey.objects.authenticate(plain)
        assert (found.pk, found.name, found.role) == (key.pk, "ci", "scanner")


def test_it_asks_the_database_nothing_about_a_wrong_checksum(django_assert_num_queries):
    _, plain = issue()
    with django_assert_num_queries(0):
        assert ApiKey.objects.authenticate(mistyped(plain)) is None


def test_it_refuses_the_secret_of_another_key():
    _, plain = issue("one")
    _, other = issue("two")
    mixed = keys.PlainKey(keys.parse(plain).public_id, keys.parse(other).secret)
    assert ApiKey.objects.authenticate(mixed.text) is None


def test_an_unknown_key_is_none():
    assert ApiKey.objects.authenticate(keys.generate().text) is None


def test_an_expired_key_is_dead_and_gives_its_name_back():
    key, plain = issue(expires_at=timezone.now() + timedelta(days=1))
    assert ApiKey.objects.authenticate(plain)
    ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now())
    assert ApiKey.objects.authenticate(plain) is None
    assert not ApiKey.objects.active().exists()
    _, fresh = issue()
    assert ApiKey.objects.authenticate(fresh)
    key.refresh_from_db()
    assert key.is_revoked


def test_a_live_name_is_taken():
    issue()
    with pytest.raises(DuplicateName):
        issue()
    assert ApiKey.objects.count() == 1


def test_a_revoked_name_can_be_made_again_and_again():
    for _ in range(3):
        _, plain = issue()
        assert len(ApiKey.objects.revoke("ci")) == 1
        assert ApiKey.objects.authenticate(plain) is None
    assert ApiKey.objects.count() == 3


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", " a", "a ", "a\nb", "a\x00b", "é", "-a", "x" * 101, "a\u202eb"),
        "12345678-1234-1234-1234-123456789abc",
        "12345678123412341234123456789abc",
    ],
)
def test_it_refuses_a_name_of_another_alphabet(name):
    with pytest.raises(ValidationError):
        issue(name)


@pytest.mark.parametrize("name", ["a", "emergency-key", "CI pipeline", "a@b:c/d"])
def test_it_takes_ordinary_names(name):
    assert issue(name)[0].name == name


def test_it_refuses_an_unknown_role():
    with pytest.raises(ValidationError):
        issue(role="root")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE api_keys SET role = 'root'",
        "UPDATE api_keys SET name = ''",
        "UPDATE api_keys SET name = ' padded'",
        "UPDATE api_keys SET public_id = NULL",
    ],
)
def test_the_database_itself_refuses_a_broken_row(change):
    issue()
    with pytest.raises(IntegrityError), transaction.atomic():
        sql(change)


def test_the_database_itself_refuses_a_second_live_name():
    issue("a")
    issue("b")
    with pytest.raises(IntegrityError), transaction.atomic():
        sql("UPDATE api_keys SET name = 'a' WHERE name = 'b'")


def test_a_rotated_pair_shares_its_name_and_both_work_during_the_grace():
    old, old_plain = issue(expires_at=timezone.now() + timedelta(days=10))
    new, new_plain = ApiKey.objects.rotate(old, 2, "somebody")
    old.refresh_from_db()
    assert (new.name, new.role, new.rotated_from) == (old.name, old.role, old)
    assert new.created_by == "somebody"
    assert new.expires_at - new.created_at == pytest.approx(
        old.expires_at - old.created_at, abs=timedelta(seconds=5)
    )
    assert old.grace_until - timezone.now() < timedelta(hours=2)
    assert (old.state, new.state) == (KeyState.GRACE, KeyState.ACTIVE)
    assert ApiKey.objects.authenticate(old_plain)
    assert ApiKey.objects.authenticate(new_plain)
    assert ApiKey.objects.active().count() == 2


def test_the_old_key_ends_with_its_grace():
    old, old_plain = issue()
    _, new_plain = ApiKey.objects.rotate(old, 0)
    assert ApiKey.objects.authenticate(old_plain) is None
    assert ApiKey.objects.authenticate(new_plain)
    old.refresh_from_db()
    assert old.state == KeyState.REPLACED
    assert ApiKey.objects.active().count() == 1


def test_a_rotated_pair_dies_by_its_name():
    old, old_plain = issue()
    _, new_plain = ApiKey.objects.rotate(old, 5)
    assert len(ApiKey.objects.revoke("ci")) == 2
    assert len(ApiKey.objects.revoke("ci")) == 0
    assert ApiKey.objects.authenticate(old_plain) is None
    assert ApiKey.objects.authenticate(new_plain) is None


def test_one_of_a_pair_dies_by_its_id():
    old, old_plain = issue()
    new, new_plain = ApiKey.objects.rotate(old, 5)
    assert len(ApiKey.objects.revoke(str(old.pk))) == 1
    assert ApiKey.objects.authenticate(old_plain) is None
    assert ApiKey.objects.authenticate(new_plain)
    assert len(ApiKey.objects.revoke(new.pk)) == 1


def test_only_a_live_key_without_successor_can_be_rotated():
    old, _ = issue()
    new, _ = ApiKey.objects.rotate(old, 5)
    with pytest.raises(NotLive):
        ApiKey.objects.rotate(old, 5)
    newest, _ = ApiKey.objects.rotate(new, 5)
    ApiKey.objects.revoke(newest.pk)
    with pytest.raises(NotLive):
        ApiKey.objects.rotate(newest, 5)
    assert ApiKey.objects.count() == 3


@pytest.mark.parametrize(
    "revocation",
    [
        "UPDATE api_keys SET is_revoked = true",
        "UPDATE api_keys SET is_revoked = true WHERE name = 'ci'",
    ],
)
def test_raw_revocation_never_fails_and_kills_every_key(revocation):
    plains = []
    for _ in range(2):  # a dead generation of the same name, too
        first, plain = issue()
        plains.append(plain)
        for grace in (0, 5, 5):
            first, plain = ApiKey.objects.rotate(first, grace)
            plains.append(plain)
        ApiKey.objects.revoke("ci")
    first, plain = issue(expires_at=timezone.now() + timedelta(days=1))
    plains.append(plain)
    _, plain = ApiKey.objects.rotate(first, 5)
    plains.append(plain)
    assert ApiKey.objects.active().count() == 2
    assert sql(revocation) == 10
    assert sql(revocation) == 10
    assert all(ApiKey.objects.authenticate(plain) is None for plain in plains)
    assert not ApiKey.objects.active().exists()
    assert issue()


def test_raw_deletion_leaves_the_successor():
    old, _ = issue()
    new, plain = ApiKey.objects.rotate(old, 5)
    sql("DELETE FROM api_keys WHERE grace_until IS NOT NULL")
    new.refresh_from_db()
    assert new.rotated_from_id is None
    assert ApiKey.objects.authenticate(plain)


def test_it_writes_the_last_use_once_a_minute(django_assert_num_queries):
    key, _ = issue()
    ApiKey.objects.mark_used(key, "203.0.113.9")
    key.refresh_from_db()
    first = key.last_used_at
    assert (first is not None, key.last_used_ip) == (True, "203.0.113.9")
    with django_assert_num_queries(0):
        ApiKey.objects.mark_used(key, "203.0.113.10")
    stale = timezone.now() - timedelta(seconds=61)
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=stale)
    ApiKey.objects.mark_used(ApiKey.objects.get(pk=key.pk), "203.0.113.10")
    key.refresh_from_db()
    assert (key.last_used_at > stale, key.last_used_ip) == (True, "203.0.113.10")


def test_of_two_requests_at_once_one_writes_the_last_use():
    key, _ = issue()
    twin = ApiKey.objects.get(pk=key.pk)
    ApiKey.objects.mark_used(key, "203.0.113.9")
    ApiKey.objects.mark_used(twin, "203.0.113.10")
    key.refresh_from_db()
    assert key.last_used_ip == "203.0.113.9"


def test_a_peer_without_address_is_no_error():
    key, _ = issue()
    ApiKey.objects.mark_used(key, "")
    key.refresh_from_db()
    assert key.last_used_at
    assert key.last_used_ip is None
