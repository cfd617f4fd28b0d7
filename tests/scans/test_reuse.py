"""Which results are used again, and which are not. Real processes, stand-in tools."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apikeys.audit import COMMAND_LINE
from scanners import edition
from scanners.contract import (
    Command,
    Coverage,
    Element,
    Observed,
    Skipped,
    Target,
    TargetKind,
)
from scanners.runner import Tool
from scans import intake, pipeline, recording, retention, reuse
from scans.models import Policy, ResultClaim, Scan, StoredResult
from tests.scans import stand_ins
from tests.scans.builders import queued_scan, run_now

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]


@pytest.fixture(autouse=True)
def no_broker(monkeypatch):
    monkeypatch.setattr("scans.tasks.announce", lambda scan_id, **_: None)


@pytest.fixture
def scanners(monkeypatch):
    def use(*classes):
        monkeypatch.setattr(
            pipeline, "scanners_for", lambda kind: [c() for c in classes]
        )
        for module in (pipeline, reuse):
            monkeypatch.setattr(module, "installed", stand_ins.own_tool)

    use(stand_ins.Finder)
    return use


def looked(scan: Scan) -> bool:
    """Whether its tool really ran."""
    return scan.runs.get().reused_from is None


def test_the_same_bytes_again_start_no_tool(scanners):
    first = run_now(queued_scan({"m": b"w"}))
    second = run_now(queued_scan({"m": b"w"}, target="another name"))
    assert second.runs.get().reused_from == first.pk
    same = ("rule", "title", "fingerprint", "location", "evidence", "taxonomy")
    assert list(second.findings.values(*same)) == list(first.findings.values(*same))
    assert second.findings.get().is_new  # of another target
    kept = ("tool_version", "sandbox", "coverage", "findings_count", "status")
    assert second.runs.values(*kept).get() == first.runs.values(*kept).get()
    assert (second.verdict, second.rules) == (first.verdict, first.rules)
    # what is used again goes back to the run that looked
    third = run_now(queued_scan({"m": b"w"}))
    assert third.runs.get().reused_from == first.pk
    assert StoredResult.objects.count() == 1
    assert not ResultClaim.objects.exists()


def test_a_changed_byte_or_name_is_looked_at(scanners):
    run_now(queued_scan({"m": b"w"}))
    assert looked(run_now(queued_scan({"m": b"W"})))
    assert looked(run_now(queued_scan({"renamed": b"w"})))
    assert looked(run_now(queued_scan({"m": b"w", "n": b"w"})))


def test_fresh_looks_again_and_replaces_what_was_stored(scanners):
    first = run_now(queued_scan({"m": b"w"}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scans.tasks.announce", lambda scan_id, **_: None)
        again = intake.rescan(first.pk, fresh=True, actor=COMMAND_LINE)
        usual = intake.rescan(first.pk, fresh=False, actor=COMMAND_LINE)
    again = run_now(again)
    assert looked(again)
    assert run_now(usual).runs.get().reused_from == again.pk
    assert StoredResult.objects.count() == 1


def test_the_policy_of_now_judges_what_was_found_then(scanners):
    assert run_now(queued_scan({"m": b"w"})).verdict == "fail"
    lenient = {"severity_threshold": "critical", "block_categories": []}
    Policy.objects.create(name="default", version=2, document=lenient)
    second = run_now(queued_scan({"m": b"w"}))
    assert not looked(second)
    assert (second.verdict, second.policy_version) == ("pass", 2)


@pytest.mark.parametrize(
    ("scanner", "seconds"),
    [(stand_ins.Garbled, 60), (stand_ins.Crasher, 60), (stand_ins.Sleeper, 2)],
)
def test_no_answer_is_never_stored(scanners, scanner, seconds):
    scanners(scanner)
    for _ in range(2):
        scan = run_now(queued_scan({"m": b"w"}, timeout_seconds=seconds))
        assert looked(scan)
        assert scan.verdict == "inconclusive"
    assert not StoredResult.objects.exists()


def test_an_incomplete_answer_is_never_stored(scanners):
    class Partial(stand_ins.StandIn):
        def parse(self, target, completed):
            report = super().parse(target, completed)
            failed = (Skipped("m", "too deep"),)
            return replace(report, coverage=Coverage(failed=failed))

    scanners(Partial)
    for _ in range(2):
        assert looked(run_now(queued_scan({"m": b"w"})))
    assert not StoredResult.objects.exists()


def test_a_report_that_is_too_long_is_not_stored(scanners, monkeypatch):
    monkeypatch.setattr(recording, "MAX_STORED_CHARACTERS", 10)
    run_now(queued_scan({"m": b"w"}))
    assert not StoredResult.objects.exists()


def test_a_scanner_without_a_stored_result_runs_beside_one_that_has_it(scanners):
    first = run_now(queued_scan({"m": b"w"}))
    scanners(stand_ins.Finder, stand_ins.StandIn)
    second = run_now(queued_scan({"m": b"w"}))
    assert second.runs.get(scanner="finder").reused_from == first.pk
    assert second.runs.get(scanner="stand-in").reused_from is None
    assert second.total_findings == 1


def test_code_that_changed_under_the_process_reads_and_stores_nothing(
    scanners, monkeypatch
):
    run_now(queued_scan({"m": b"w"}))
    monkeypatch.setattr(edition, "on_disk", lambda: "another")
    changed = run_now(queued_scan({"m": b"w"}))
    assert looked(changed)
    assert changed.rules == ""
    assert looked(run_now(queued_scan({"n": b"w"})))
    assert StoredResult.objects.count() == 1


def test_a_tool_that_changed_while_it_ran_is_not_stored(scanners, monkeypatch):
    versions = iter(["1.0", "1.0", "2.0", "2.0"])

    def changing(name, directory):
        return replace(stand_ins.own_tool(name, directory), version=next(versions))

    monkeypatch.setattr(pipeline, "installed", changing)
    monkeypatch.setattr(reuse, "installed", changing)
    run_now(queued_scan({"m": b"w"}))
    assert not StoredResult.objects.exists()


def test_a_stored_text_that_cannot_be_read_is_a_miss(scanners):
    run_now(queued_scan({"m": b"w"}))
    StoredResult.objects.update(report='{"format": 99}')
    assert looked(run_now(queued_scan({"m": b"w"})))
    assert not looked(run_now(queued_scan({"m": b"w"})))


def test_a_result_goes_with_the_scan_that_made_it(scanners):
    run_now(queued_scan({"m": b"w"}))
    second = run_now(queued_scan({"m": b"w"}))
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM scans WHERE scan_id <> %s",
            [Scan._meta.pk.get_db_prep_value(second.pk, connection)],
        )
    assert not StoredResult.objects.exists()
    assert second.findings.count() == 1
    assert looked(run_now(queued_scan({"m": b"w"})))


def test_what_nobody_uses_goes_and_what_is_used_stays(scanners):
    run_now(queued_scan({"m": b"w"}))
    run_now(queued_scan({"n": b"w"}))
    StoredResult.objects.update(last_used_at=timezone.now() - timedelta(days=40))
    assert not looked(run_now(queued_scan({"m": b"w"})))
    ResultClaim.objects.create(
        key="ab" * 32, scan=Scan.objects.latest("created_at"), owner="x", attempt=1
    )
    retention.sweep(grace=timedelta(minutes=5))
    assert StoredResult.objects.count() == 1
    assert not ResultClaim.objects.exists()
    assert looked(run_now(queued_scan({"n": b"w"})))


def test_what_a_scanner_said_before_it_stopped_detecting_is_forgotten(scanners):
    run_now(queued_scan({"m": b"w"}))
    reuse.forget("stand-in")
    assert not looked(run_now(queued_scan({"m": b"w"})))
    reuse.forget("finder")
    assert looked(run_now(queued_scan({"m": b"w"})))


def test_it_costs_a_handful_of_queries(scanners, monkeypatch):
    def counted() -> int:
        scan = queued_scan({"m": b"w"})
        with CaptureQueriesContext(
            connection,
        ) as queries:
            run_now(scan)
        return len([q for q in queries if "SAVEPOINT" not in q["sql"]])

    run_now(queued_scan({"other": b"w"}))
    first, again = counted(), counted()
    with monkeypatch.context() as patch:
        patch.setattr(reuse, "keys_of", lambda *_: {})
        without = counted()
    assert first - without <= 10
    assert again - without <= 2


# --- The key: everything that decides what a run says, and nothing else

TARGET = Target(
    TargetKind.MODEL, Path("/runs/a/target"), (Element("m", 3, "ab" * 32),), "ab" * 32
)
TOOL = Tool("t", Path("/t/bin/python"), "1.0", "cd" * 32, ())


class Called(stand_ins.StandIn):
    call = Command(("scan", "/runs/a/target/m"), {"A": "1"}, {"f": b"x"}, ("out",))

    def command(self, target: Target) -> Command:
        root = str(target.root)
        arguments = (a.replace("/runs/a/target", root) for a in self.call.arguments)
        return replace(self.call, arguments=tuple(arguments))


class Renamed(Called):
    name = "renamed"


class Smaller(Called):
    limits = replace(Called.limits, memory_bytes=1 << 20)


class Slower(Called):
    limits = replace(Called.limits, wall_seconds=7)


def called(**changes) -> stand_ins.StandIn:
    return type("Other", (Called,), {"call": replace(Called.call, **changes)})()


def key(scanner=None, tool=TOOL, target=TARGET, rung="landlock") -> str:
    return reuse.key_of(scanner or Called(), tool, target, rung=rung)


INGREDIENTS = {
    "digest": {"target": replace(TARGET, digest="ef" * 32)},
    "kind": {"target": replace(TARGET, kind=TargetKind.MCP)},
    "name": {"target": replace(TARGET, elements=(Element("n", 3, "ab" * 32),))},
    "bytes": {"target": replace(TARGET, elements=(Element("m", 3, "ef" * 32),))},
    "gaps": {"target": replace(TARGET, gaps=(Skipped("x", "it is a link"),))},
    "observed": {"target": replace(TARGET, observed=(Observed("C", "p", "d"),))},
    "scanner": {"scanner": Renamed()},
    "tool version": {"tool": replace(TOOL, version="1.1")},
    "lock": {"tool": replace(TOOL, lock_digest="ef" * 32)},
    "rung": {"rung": "bubblewrap"},
    "limits": {"scanner": Smaller()},
    "arguments": {"scanner": called(arguments=("scan", "--all"))},
    "environment": {"scanner": called(environment={"A": "2"})},
    "files": {"scanner": called(files={"f": b"y"})},
    "outputs": {"scanner": called(outputs=("other",))},
}


@pytest.mark.parametrize("changed", INGREDIENTS.values(), ids=INGREDIENTS)
def test_whatever_decides_a_result_is_in_its_key(changed):
    assert key(**changed) != key()


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("scanners.edition.LOADED", "another"),
        ("platform.python_version", lambda: "3.99"),
        ("django.conf.settings.VERSION", "9.9"),
    ],
)
def test_our_own_code_and_python_are_in_the_key(monkeypatch, place, value):
    before = key()
    monkeypatch.setattr(place, value)
    assert key() != before


def test_where_it_lay_and_how_long_it_may_take_are_not_in_the_key():
    elsewhere = replace(TARGET, root=Path("/runs/b/target"))
    assert key(target=elsewhere) == key()
    assert key(scanner=Slower()) == key()


def test_a_name_that_no_canonical_json_carries_has_no_key(scanners):
    odd = replace(TARGET, elements=(Element("\udc80", 3, "ab" * 32),))
    assert reuse.keys_of([stand_ins.Finder()], TARGET)
    assert reuse.keys_of([stand_ins.Finder()], odd) == {}


def test_a_missing_tool_has_no_key_and_the_others_have(settings, tmp_path):
    class Absent(stand_ins.StandIn):
        name = "absent"

    class Ours(stand_ins.StandIn):
        name = "sentrascan-stand-in"

    assert set(reuse.keys_of([Absent(), Ours()], TARGET)) == {"sentrascan-stand-in"}
