"""What is counted of a scan, and that nothing takes it away again."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from django.db import IntegrityError, connection, transaction

from apikeys.audit import COMMAND_LINE
from scans import intake, measures, pipeline, recording, tasks
from scans.models import Lease, Scan, Tally
from tests.scans import stand_ins
from tests.scans.builders import queued_scan, run_now

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]


def told() -> dict[str, float]:
    rows = Tally.objects.values_list("name", "labels", "value")
    return {f"{name} {labels}".strip(): value for name, labels, value in rows}


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr("scans.tasks.announce", lambda scan_id, **_: None)


@pytest.fixture
def scanners(monkeypatch):
    def use(*classes):
        monkeypatch.setattr(
            pipeline, "scanners_for", lambda kind: [c() for c in classes]
        )
        monkeypatch.setattr(pipeline, "installed", stand_ins.own_tool)

    return use


def test_a_judged_scan_is_counted_once_with_what_was_found(scanners):
    scanners(stand_ins.Finder, stand_ins.Crasher)
    scan = run_now(queued_scan({"m.bin": b"weights"}))
    assert scan.verdict == "fail"
    found = told()
    assert found["scans model,completed"] == 1
    assert found["verdicts fail"] == 1
    assert found["findings high"] == 1
    assert found["runs finder,completed"] == found["runs crasher,failed"] == 1
    seconds = {k: v for k, v in found.items() if k.startswith("scan_seconds model,")}
    lasted = (scan.finished_at - scan.started_at).total_seconds()
    assert seconds.pop("scan_seconds model,sum") == pytest.approx(lasted, abs=1)
    assert list(seconds.values()) == [1]


def test_a_message_that_comes_twice_counts_nothing(scanners):
    scanners(stand_ins.StandIn)
    scan = queued_scan({"m.bin": b"weights"})
    for _ in range(3):
        pipeline.run(scan.pk, owner="me")
    assert told()["verdicts pass"] == 1


def test_what_was_deleted_stays_counted(scanners):
    scanners(stand_ins.StandIn)
    scan = run_now(queued_scan({"m.bin": b"weights"}))
    before = told()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM scans")
    assert not Scan.objects.filter(pk=scan.pk).exists()
    assert told() == before


def test_cancelled_and_failed_scans_are_counted():
    intake.cancel(queued_scan({"m": b"x"}).pk, actor=COMMAND_LINE)
    scan = queued_scan({"m": b"y"})
    lease = Scan.objects.claim(scan.pk, owner="me", seconds=20)
    assert recording.fail(lease, "it broke")
    assert not recording.fail(lease, "it broke")
    found = told()
    assert found["scans model,cancelled"] == found["scans model,failed"] == 1
    assert found["verdicts inconclusive"] == 1


def test_lost_attempts_and_timed_tasks_are_told():
    scan = queued_scan({"m": b"x"})
    assert Scan.objects.claim(scan.pk, owner="dead", seconds=-1)
    tasks.reap()
    found = told()
    assert found["lost"] == 1
    assert found["task_ended_at reap"] > 1.7e9
    tasks.reap()
    assert told()["lost"] == 1
    assert told()["task_ended_at reap"] > found["task_ended_at reap"]


def test_what_is_rolled_back_is_not_counted():
    scan = queued_scan({"m": b"x"})
    lease = Scan.objects.claim(scan.pk, owner="me", seconds=20)
    with transaction.atomic():
        recording.fail(lease, "it broke")
        transaction.set_rollback(True)
    assert told() == {}
    assert Scan.objects.held(Lease(scan.pk, "me", lease.attempt)).exists()


def test_many_who_count_at_once_lose_nothing_and_do_not_deadlock():
    def work(number: int) -> None:
        try:
            for step in range(20):
                names = [f"n{(number + step + i) % 5}" for i in range(4)]
                with transaction.atomic():
                    Tally.objects.add(Counter({(name, ""): 1 for name in names}))
        except Exception as error:  # noqa: BLE001 - told in the test's own thread
            failed.append(error)
        finally:
            connection.close()

    failed: list[Exception] = []
    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sum(told().values()) == 6 * 20 * 4


def test_a_count_never_falls_below_zero():
    with pytest.raises(IntegrityError), transaction.atomic():
        Tally.objects.add({("scans", "model,completed"): -1})


@pytest.mark.parametrize(
    ("seconds", "bound"), [(-1, "0.1"), (0.1, "0.1"), (0.11, "0.25"), (9e9, "+Inf")]
)
def test_a_time_falls_into_the_bucket_of_its_bound(seconds, bound):
    counted: Counter[tuple[str, str]] = Counter()
    measures._observe(counted, "n", "l", seconds)
    assert counted["n", f"l,{bound}"] == 1
