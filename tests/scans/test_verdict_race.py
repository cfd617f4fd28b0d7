"""A verdict is never told after it was revoked: readers hammer while it changes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from apikeys.models import ApiKey
from scans import rulesets
from scans.choices import Verdict
from scans.models import Policy, Scan, ScanWaiver, Waiver, Worker
from sentrascan_project.throttling import KeyRateThrottle
from tests.scans.api_samples import DIGEST, make_finding, make_scan

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]
URL = f"/api/v1/verdicts/sha256:{DIGEST}"


@dataclass
class Readers:
    """Threads that ask with the tags they know; `epoch` is what was committed."""

    key: str
    epoch: int = 0
    seen: list[tuple[int, int, str, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        client, known = APIClient(), dict[str, str]()
        client.credentials(HTTP_X_API_KEY=self.key)
        while not self.over.is_set():
            epoch = self.epoch
            tags = {"If-None-Match": ", ".join(known)} if known else {}
            answer = client.get(URL, headers=tags)
            body = known.get(answer.headers.get("ETag", ""), "")
            if answer.status_code == 200:
                body = answer.json()["verdict"] + answer.json()["scan_id"]
                known[answer["ETag"]] = body
            self.seen.append((epoch, self.epoch, answer.status_code, body))
        connection.close()


@pytest.fixture
def readers(monkeypatch) -> Iterator[Readers]:
    monkeypatch.setattr(KeyRateThrottle, "allow_request", lambda *_: True)
    _, key = ApiKey.objects.issue(name="reader", role="viewer")
    crowd = Readers(key)
    yield crowd
    crowd.over.set()


def hammer(crowd: Readers, steps: list[tuple[Callable[[], object], str]]) -> None:
    """Do each step while all read; every answer must be of a state of its time."""
    threads = [threading.Thread(target=crowd.read) for _ in range(4)]
    expected = [steps[0][1]]
    steps[0][0]()
    for thread in threads:
        thread.start()
    for act, then in steps[1:]:
        wait_for(crowd)
        act()
        expected.append(then)
        crowd.epoch += 1
    wait_for(crowd)
    crowd.over.set()
    for thread in threads:
        thread.join()
    for before, after, status, body in crowd.seen:
        assert status in {200, 304, 404}
        # A step may have been committed and not yet been counted.
        fitting = expected[before : after + 2]
        assert any(body.startswith(each) if each else status == 404 for each in fitting)
    assert {status for *_, status, _ in crowd.seen} == {200, 304, 404}


def wait_for(crowd: Readers, answers: int = 40) -> None:
    enough = len(crowd.seen) + answers
    while len(crowd.seen) < enough:
        assert not crowd.over.wait(0.01)


def test_no_reader_ever_sees_what_was_revoked(readers):
    scans: list[Scan] = []

    def scan(minutes: int, verdict: str, version: int = 1) -> None:
        made = make_scan(
            minutes=minutes, digest=DIGEST, verdict=verdict, policy_version=version
        )
        scans.append(made)

    def worker(rules: str) -> None:
        Worker.objects.update_or_create(
            name="w", defaults={"rules": rules, "seen_at": timezone.now()}
        )

    hammer(
        readers,
        [
            (lambda: scan(1, Verdict.PASS), "pass"),
            (lambda: scan(2, Verdict.FAIL), "fail"),
            (lambda: Scan.objects.filter(pk=scans[1].pk).delete(), "pass"),
            (lambda: Policy.objects.create(name="default", version=2), "inconclusive"),
            (lambda: scan(3, Verdict.PASS, 2), "pass"),
            (lambda: worker("ab" * 32), "inconclusive"),
            (lambda: worker(rulesets.known_here()), "pass"),
            (lambda: Scan.objects.all().delete(), ""),
        ],
    )


def test_no_reader_ever_sees_a_pass_after_the_waiver_it_rested_on(readers):
    kept: list[Waiver] = []

    def waiver(target: str = "") -> None:
        later = timezone.now() + timedelta(hours=1)
        found = {"fingerprint": f"v1:{1:064x}", "target": target}
        kept.append(Waiver.objects.create(**found, reason="r", expires_at=later))

    def scan(minutes: int) -> None:
        """As the worker writes it, in one transaction."""
        with transaction.atomic():
            made = make_scan(minutes=minutes, digest=DIGEST)
            make_finding(made, 1)
            ScanWaiver.objects.create(
                scan=made,
                waiver_id=kept[-1].pk,
                fingerprint=kept[-1].fingerprint,
                reason="r",
                expires_at=kept[-1].expires_at,
            )

    def expire() -> None:
        Waiver.objects.filter(pk=kept[-1].pk).update(expires_at=timezone.now())

    hammer(
        readers,
        [
            (waiver, ""),
            (lambda: scan(1), "pass"),
            (lambda: Waiver.objects.all().delete(), "inconclusive"),
            (lambda: waiver("model.pkl"), "inconclusive"),
            (waiver, "pass"),
            (expire, "inconclusive"),
            (lambda: Scan.objects.all().delete(), ""),
        ],
    )
