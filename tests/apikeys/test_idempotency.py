from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from apikeys.models import ApiKey, AuditEvent, IdempotencyRecord
from tests.apikeys import probe
from tests.apikeys.clients import KeyClient

KEYS = "/api/v1/api-keys"


def worked() -> int:
    return AuditEvent.objects.filter(action="probe.work").count()


def age(**by: float) -> None:
    then = timezone.now() - timedelta(**by)
    IdempotencyRecord.objects.update(created_at=then, claimed_at=then)


@pytest.mark.django_db
class TestOneAfterTheOther:
    @pytest.fixture
    def scanner(self, client_as):
        return client_as("scanner")

    def test_the_second_gets_the_first_answer_byte_for_byte(self, scanner):
        first = scanner.send("/probe", {"a": 1}, Idempotency_Key="k1")
        again = scanner.send("/probe", {"a": 1}, Idempotency_Key="k1")
        assert (first.status_code, again.status_code) == (202, 202)
        assert again.content == first.content
        assert again.headers["Content-Type"] == first.headers["Content-Type"]
        assert again.headers["Location"] == first.headers["Location"] == "/x/1"
        assert again.headers["Idempotency-Replayed"] == "true"
        assert "Idempotency-Replayed" not in first.headers
        assert worked() == 1

    def test_without_the_header_each_is_done(self, scanner):
        assert scanner.send("/probe").json() != scanner.send("/probe").json()
        assert worked() == 2
        assert not IdempotencyRecord.objects.exists()

    def test_another_body_or_path_is_422(self, scanner):
        scanner.send("/probe", {"a": 1}, Idempotency_Key="k1")
        for path, body in [("/probe", {"a": 2}), ("/probe?b=1", {"a": 1})]:
            response = scanner.send(path, body, Idempotency_Key="k1")
            assert response.status_code == 422
        assert worked() == 1

    def test_another_key_of_the_header_or_another_api_key_is_another_request(
        self, scanner, client_as
    ):
        scanner.send("/probe", Idempotency_Key="k1")
        scanner.send("/probe", Idempotency_Key="k2")
        client_as("admin").send("/probe", Idempotency_Key="k1")
        assert worked() == 3

    @pytest.mark.parametrize("kind", ["break", "refuse", "unavailable"])
    def test_what_was_not_done_frees_the_key(self, scanner, kind):
        code = {"break": 500, "refuse": 400, "unavailable": 503}[kind]
        for _ in range(2):
            response = scanner.send("/probe", {"do": kind}, Idempotency_Key="k1")
            assert response.status_code == code
        assert not IdempotencyRecord.objects.exists()
        assert scanner.send("/probe", {}, Idempotency_Key="k1").status_code == 202

    def test_a_refused_role_leaves_nothing(self, client_as):
        viewer = client_as("viewer")
        assert viewer.send("/probe", Idempotency_Key="k1").status_code == 403
        assert not IdempotencyRecord.objects.exists()

    @pytest.mark.parametrize("key", ["", "x" * 256, "sp\tace"])
    def test_a_malformed_key_is_400(self, scanner, key):
        assert scanner.send("/probe", Idempotency_Key=key).status_code == 400
        assert worked() == 0

    def test_after_a_day_the_key_is_new(self, scanner):
        scanner.send("/probe", {"a": 1}, Idempotency_Key="k1")
        age(hours=24)
        response = scanner.send("/probe", {"a": 2}, Idempotency_Key="k1")
        assert response.status_code == 202
        assert worked() == 2
        again = scanner.send("/probe", {"a": 2}, Idempotency_Key="k1")
        assert again.content == response.content

    def test_a_request_in_flight_is_409_until_its_process_must_have_died(self, scanner):
        scanner.send("/probe", {"a": 1}, Idempotency_Key="k1")
        IdempotencyRecord.objects.update(status=None, body=None)
        response = scanner.send("/probe", {"a": 1}, Idempotency_Key="k1")
        assert response.status_code == 409
        age(minutes=11)
        other = scanner.send("/probe", {"a": 2}, Idempotency_Key="k1")
        assert other.status_code == 422
        response = scanner.send("/probe", {"a": 1}, Idempotency_Key="k1")
        assert response.status_code == 202
        assert worked() == 2

    def test_a_request_that_lost_its_claim_cannot_overwrite_or_free_it(self):
        claim = IdempotencyRecord.objects.claim
        first, _ = claim("key:1", "k1", "f")
        age(minutes=11)
        second, is_mine = claim("key:1", "k1", "f")
        assert is_mine
        answer = {"status": 202, "headers": {}, "body": b"x"}
        assert not IdempotencyRecord.objects.keep(first, **answer)
        assert not IdempotencyRecord.objects.free(first)
        assert IdempotencyRecord.objects.keep(second, **answer)
        assert not IdempotencyRecord.objects.free(second)

    def test_a_view_may_say_what_the_same_request_is(self, scanner):
        first = scanner.send("/fingerprint", {"a": 1}, Idempotency_Key="k1")
        again = scanner.send("/fingerprint", {"a": 2}, Idempotency_Key="k1")
        assert again.content == first.content

    def test_a_body_too_large_to_be_held_is_413(self, scanner, settings):
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
        response = scanner.send("/probe", {"a": "x" * 200}, Idempotency_Key="k1")
        assert response.status_code == 413
        assert worked() == 0

    def test_a_secret_is_never_stored_and_its_replay_names_what_was_made(
        self, client_as
    ):
        admin = client_as("admin")
        body = {"name": "ci", "role": "viewer"}
        made = admin.send(KEYS, body, Idempotency_Key="k1").json()
        stored = str(list(IdempotencyRecord.objects.values()))
        assert made["key"] not in stored
        assert made["key"].split("_")[2][:32] not in stored
        response = admin.send(KEYS, body, Idempotency_Key="k1")
        assert response.status_code == 409
        assert made["key_id"] in response.content.decode()
        assert made["key"] not in response.content.decode()
        rotate = f"{KEYS}/{made['key_id']}/rotate"
        new = admin.send(rotate, Idempotency_Key="k2").json()
        response = admin.send(rotate, Idempotency_Key="k2")
        assert response.status_code == 409
        assert new["key_id"] in response.content.decode()
        assert ApiKey.objects.filter(name="ci").count() == 2

    def test_old_records_are_pruned(self, scanner):
        scanner.send("/probe", Idempotency_Key="k1")
        age(hours=25)
        scanner.send("/probe", Idempotency_Key="k2")
        assert IdempotencyRecord.objects.prune() == 1
        assert IdempotencyRecord.objects.get().idempotency_key == "k2"


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite has one writer at a time"
)
class TestAtOnce:
    @pytest.fixture
    def plain(self):
        return ApiKey.objects.issue(name="ci", role="scanner")[1]

    def send(self, plain: str, body: dict[str, object]):
        try:
            return KeyClient(plain).send("/probe", body, Idempotency_Key="k1")
        finally:
            connection.close()

    def test_of_eight_at_once_exactly_one_is_done(self, plain):
        start = threading.Barrier(8, timeout=30)

        def send(_: int):
            start.wait()
            return self.send(plain, {"a": 1})

        for round_ in range(1, 6):
            with ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(send, range(8)))
            assert worked() == round_
            done = [answer for answer in answers if answer.status_code == 202]
            assert len({answer.content for answer in done}) == 1
            fresh = [a for a in done if "Idempotency-Replayed" not in a.headers]
            assert len(fresh) == 1
            assert {answer.status_code for answer in answers} <= {202, 409}
            IdempotencyRecord.objects.all().delete()

    def test_while_the_first_is_at_work_the_second_is_409_and_then_its_replay(
        self, plain
    ):
        body = {"do": "hold"}
        probe.at_work.clear()
        probe.may_go_on.clear()
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(self.send, plain, body)
            assert probe.at_work.wait(30)
            try:
                assert self.send(plain, body).status_code == 409
                assert self.send(plain, {"do": "x"}).status_code == 422
            finally:
                probe.may_go_on.set()
            assert first.result(30).status_code == 202
        again = self.send(plain, body)
        assert again.content == first.result().content
        assert worked() == 1

    def test_of_many_that_find_a_dead_one_exactly_one_takes_over(self, plain):
        self.send(plain, {"a": 1})
        IdempotencyRecord.objects.update(status=None)
        age(minutes=11)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: self.send(plain, {"a": 1}), range(8)))
        assert worked() == 2
