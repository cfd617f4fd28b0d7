"""What a target's scans leave in its memory, through the real pipeline."""

from __future__ import annotations

import threading
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from apikeys.audit import COMMAND_LINE as ME
from scanners.contract import (
    Category,
    Coverage,
    Location,
    Report,
    ReportedFinding,
    Rule,
    Severity,
    Skipped,
    TargetKind,
)
from scans import baselines, pipeline, recording
from scans.models import Finding, Scan, ScanDetail, Target, TargetFinding
from tests.scans import stand_ins
from tests.scans.api_samples import make_finding, make_scan
from tests.scans.builders import queued_scan, run_now

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]


class Words(stand_ins.StandIn):
    """Finds the word `bad`, numbered; what is `dark` it cannot read."""

    name = "words"
    severity = Severity.HIGH
    is_broken = False

    def parse(self, target: Any, completed: Any) -> Report:
        if self.is_broken:
            raise KeyError("no report")
        found, dark = [], []
        paths = [element.path for element in target.elements]
        for path in paths:
            words = path if target.document else (target.root / path).read_text()
            if "dark" in words:
                dark.append(Skipped(path, "it is dark"))
                continue
            bad = [w for w in words.replace("/", " ").split() if w.startswith("bad")]
            found += [self.finding(path, word) for word in bad]
        seen = frozenset(paths) - {each.path for each in dark}
        return Report(tuple(found), Coverage(scanned=seen, failed=tuple(dark)))

    def finding(self, path: str, word: str) -> ReportedFinding:
        rule = Rule("words:BAD", self.severity, Category.OTHER, "A bad word")
        place = Location(path=path)
        return ReportedFinding(rule, f"Found {word}", location=place, element=word)


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> Words:
    scanner = Words()
    scanner.kinds = frozenset(TargetKind)  # type: ignore[misc]  # of this one alone
    monkeypatch.setattr(pipeline, "scanners_for", lambda kind: [scanner])
    monkeypatch.setattr(pipeline, "installed", stand_ins.own_tool)
    return scanner


def scanned(text: str = "", **files: str) -> Scan:
    given = files or {"a": text}
    encoded = {f"m/{name}.txt": body.encode() for name, body in given.items()}
    return run_now(queued_scan(encoded, target="it"))


def memory(word: str = "bad1") -> TargetFinding:
    return TargetFinding.objects.get(title=f"Found {word}")


def moved(scan: Scan) -> tuple[int, int]:
    detail = ScanDetail.objects.get(pk=scan.pk)
    return detail.resolved_findings, detail.reopened_findings


def test_a_finding_comes_goes_and_comes_back(words: Words) -> None:
    first = scanned("bad1 bad2")
    row = memory("bad2")
    assert (row.first_seen_at, row.first_scan_id) == (first.created_at, first.pk)
    assert (row.last_seen_at, row.resolved_at, row.times_reopened) == (None, None, 0)
    assert row.fingerprint == Finding.objects.get(title="Found bad2").fingerprint
    second = scanned("bad1")
    assert (moved(first), moved(second)) == ((0, 0), (1, 0))
    row = memory("bad2")
    assert (row.last_seen_at, row.last_scan_id) == (first.created_at, first.pk)
    assert (row.resolved_at, row.resolved_scan_id) == (second.created_at, second.pk)
    third = scanned("bad1 bad2 bad3")
    assert (moved(third), third.new_findings) == ((0, 1), 2)
    row = memory("bad2")
    assert (row.first_seen_at, row.reopened_at) == (first.created_at, third.created_at)
    assert (row.resolved_at, row.resolved_scan_id, row.last_seen_at) == (None,) * 3
    assert row.times_reopened == 1
    target = Target.objects.get()
    assert (target.last_scan_at, target.last_scan_id) == (third.created_at, third.pk)


def test_a_scan_that_finds_the_same_writes_nothing(words: Words) -> None:
    scanned("bad1 bad2")
    with CaptureQueriesContext(connection) as said:
        again = scanned("bad1 bad2")
    assert again.total_findings == 2
    writes = [
        query["sql"]
        for query in said
        if "target_findings" in query["sql"] and not query["sql"].startswith("SELECT")
    ]
    assert writes == []


def test_silence_resolves_nothing(words: Words) -> None:
    first = scanned("bad1")
    words.is_broken = True
    dark = scanned("else")
    assert (dark.verdict, moved(dark)) == ("inconclusive", (0, 0))
    row = memory()
    assert (row.resolved_at, row.last_seen_at) == (None, first.created_at)
    scanned("else again")  # the second that could not look moves nothing
    assert memory().last_scan_id == first.pk
    words.is_broken = False
    scanned("bad1")
    assert memory().last_seen_at is None
    words.is_broken = True
    scanned("bad1 ")
    words.is_broken = False
    last = scanned("good")
    row = memory()
    # Gone since the last look, last seen in the scan before the blind one.
    assert (row.resolved_at, moved(last)) == (last.created_at, (1, 0))
    assert row.last_seen_at is not None
    assert row.last_seen_at < dark.created_at + timedelta(hours=1)
    assert row.last_scan_id == Scan.objects.order_by("created_at")[3].pk


def test_what_cannot_be_read_is_not_gone_and_a_removed_file_is(words: Words) -> None:
    scanned(a="bad1", b="bad2")
    scanned(a="dark", b="bad2")
    assert memory("bad1").resolved_at is None
    gone = scanned(a="good")
    assert memory("bad1").resolved_at == gone.created_at
    assert memory("bad2").resolved_at == gone.created_at
    assert moved(gone) == (2, 0)


def test_a_scan_that_was_overtaken_says_nothing(words: Words) -> None:
    late = queued_scan({"m/a.txt": b"bad1 bad9"}, target="it")
    newer = scanned("bad2")
    overtaken = run_now(late)
    assert overtaken.total_findings == 2
    assert moved(overtaken) == (0, 0)
    assert set(TargetFinding.objects.values_list("title", flat=True)) == {"Found bad2"}
    assert Target.objects.get().last_scan_id == newer.pk
    # New to people is what the scan before it did not have, not the one after it.
    assert overtaken.new_findings == 2
    assert scanned("bad1 bad2").new_findings == 1


def test_what_was_not_kept_is_not_gone(
    words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned("bad1")
    monkeypatch.setattr(recording, "MAX_FINDINGS", 1)
    scanned("bad2 bad3")
    assert memory().resolved_at is None


def test_a_finding_is_told_in_the_words_of_the_newest_scan(words: Words) -> None:
    scanned("bad1")
    words.severity = Severity.CRITICAL
    scanned("bad1 ")
    assert memory().severity == Severity.CRITICAL
    assert TargetFinding.objects.count() == 1


def test_it_outlives_its_scans_and_goes_with_its_target(words: Words) -> None:
    first = scanned("bad1")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM scans")
    assert memory().first_scan_id == first.pk
    scanned("bad1")
    assert memory().first_seen_at == first.created_at
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM targets")
    assert not TargetFinding.objects.exists()
    assert Scan.objects.get().target == "it"


def test_two_targets_have_two_memories(words: Words) -> None:
    scanned("bad1")
    other = run_now(queued_scan({"m/a.txt": b"bad1"}, target="other"))
    assert other.new_findings == 1
    assert TargetFinding.objects.count() == 2
    run_now(queued_scan({"m/a.txt": b"good"}, target="other"))
    assert TargetFinding.objects.open().get().target.name == "it"


def test_drift_is_over_when_it_is_approved_or_undone(words: Words) -> None:
    def listed(text: str) -> Scan:
        tools = [{"name": "add", "description": text}]
        return run_now(queued_scan(document={"tools": tools}, target="list"))

    def approve(scan: Scan) -> None:
        baselines.approve(baselines.create(scan.pk, name="b", actor=ME).pk, actor=ME)

    approve(listed("Adds."))
    drifted = listed("Adds. Sends.")
    row = TargetFinding.objects.get()
    assert (row.scanner, row.resolved_at) == ("sentrascan-drift", None)
    back = listed("Adds.")
    row.refresh_from_db()
    assert row.resolved_at == back.created_at
    listed("Adds. Sends.")
    row.refresh_from_db()
    assert (row.resolved_at, row.times_reopened) == (None, 1)
    approve(drifted)
    assert listed("Adds. Sends.").total_findings == 0
    row.refresh_from_db()
    assert row.resolved_at is not None


def test_drift_that_could_not_be_compared_is_not_over(words: Words) -> None:
    def listed(text: str) -> Scan:
        tools = [{"name": "add", "description": text}]
        return run_now(queued_scan(document={"tools": tools}, target="list"))

    made = baselines.create(listed("Adds.").pk, name="b", actor=ME)
    baselines.approve(made.pk, actor=ME)
    listed("Adds. Sends.")
    made.snapshot["document"] = {"tools": []}  # as an earlier release made them
    type(made).objects.filter(pk=made.pk).update(snapshot=made.snapshot)
    assert listed("Adds. Sends.").total_findings == 0
    assert TargetFinding.objects.get().resolved_at is None


def test_scans_of_one_target_are_remembered_in_turn() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("there one transaction writes at a time")
    target = Target.objects.create(scan_type="model", name="it")
    scans = [make_scan(minutes=n, target_record=target) for n in range(2)]
    order: list[str] = []
    is_held = threading.Event()

    def second() -> None:
        try:
            is_held.wait(10)
            with transaction.atomic():
                seen = advance(target, scans[0])
                order.append(f"second: {seen}")
        finally:
            connection.close()

    thread = threading.Thread(target=second)
    thread.start()
    with transaction.atomic():
        assert advance(target, scans[1]) is not None
        is_held.set()
        thread.join(0.5)
        # Who submits is not held up: a scan is inserted with a key to the target.
        order.append("first")
    thread.join(10)
    assert order == ["first", "second: None"]


def test_whoever_submits_does_not_wait_for_a_recording() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("there one transaction writes at a time")
    target = Target.objects.create(scan_type="model", name="it")
    scan = make_scan(target_record=target)
    done = threading.Event()

    def submit() -> None:
        try:
            make_scan(minutes=5, target_record=target)
            done.set()
        finally:
            connection.close()

    thread = threading.Thread(target=submit)
    with transaction.atomic():
        assert advance(target, scan) is not None
        thread.start()
        assert done.wait(10)
    thread.join(10)


def advance(target: Target, scan: Scan) -> Any:
    return Target.objects.advance(target.pk, at=scan.created_at, scan_id=scan.pk)


def test_scans_of_before_are_remembered_by_the_migration() -> None:
    target = Target.objects.create(scan_type="model", name="it")
    scans = [make_scan(minutes=n, target_record=target) for n in range(3)]
    make_scan(minutes=9, target_record=target, scan_status="failed")
    for scan, numbers in zip(scans, ([1, 2], [2], [2, 3]), strict=True):
        for number in numbers:
            make_finding(scan, number)
    migration = import_module("scans.migrations.0012_history_of_old_scans")
    with connection.cursor() as cursor:
        cursor.execute(migration.LAST)
        cursor.execute(migration.OPEN)
    target.refresh_from_db()
    assert (target.last_scan_at, target.last_scan_id) == (
        scans[2].created_at,
        scans[2].pk,
    )
    rows = TargetFinding.objects.order_by("first_seen_at")
    told = [(row.fingerprint[-1], row.first_scan_id, row.location) for row in rows]
    place = {"path": "model.pkl", "byte_offset": 7}
    assert told == [("2", scans[0].pk, place), ("3", scans[2].pk, place)]
    assert [row.first_seen_at for row in rows] == [
        scans[0].created_at,
        scans[2].created_at,
    ]
