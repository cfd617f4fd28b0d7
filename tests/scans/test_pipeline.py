from __future__ import annotations

import threading
import time
import uuid
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from scans import pipeline, recording, tasks
from scans.choices import RunStatus, ScanStatus, Verdict
from scans.models import Finding, Scan, ScannerRun
from scans.models.copying import COPY_ABOVE
from tests import planted
from tests.scans import stand_ins
from tests.scans.builders import queued_scan, run_in_thread, run_now

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def scanners(monkeypatch):
    """Let the pipeline find stand-ins: real processes, no security tool."""

    def use(*classes):
        monkeypatch.setattr(
            pipeline, "scanners_for", lambda kind: [c() for c in classes]
        )
        monkeypatch.setattr(pipeline, "installed", stand_ins.own_tool)

    return use


def test_it_records_findings_runs_and_verdict_together(scanners):
    scanners(stand_ins.Finder)
    scan = run_now(queued_scan({"model.bin": b"weights"}))
    assert (scan.scan_status, scan.verdict, scan.passed) == ("completed", "fail", False)
    assert (scan.total_findings, scan.high_count, scan.new_findings) == (1, 1, 1)
    assert scan.detail.reasons == ["Found EVAL in model.bin (finder:EVAL, high)"]
    run = scan.runs.get()
    assert (run.status, run.findings_count) == (RunStatus.COMPLETED, 1)
    assert run.coverage["complete"] is True
    assert run.sandbox
    assert scan.snapshot.elements[0]["path"] == "model.bin"
    assert scan.lease_owner == ""


def test_a_clean_target_passes(scanners):
    scanners(stand_ins.StandIn)
    scan = run_now(queued_scan({"model.bin": b"weights"}))
    assert (scan.verdict, scan.passed, scan.detail.reasons) == ("pass", True, [])


@pytest.mark.parametrize(
    ("broken", "seconds", "status", "said"),
    [
        (stand_ins.Garbled, 60, RunStatus.FAILED, "cannot be read"),
        (stand_ins.Crasher, 60, RunStatus.FAILED, "crasher"),
        # So long that the sound one beside it is done, on a busy machine too.
        (stand_ins.Sleeper, 5, RunStatus.TIMED_OUT, "sleeper"),
    ],
)
def test_a_scanner_without_an_answer_is_inconclusive(
    scanners, broken, seconds, status, said
):
    scanners(stand_ins.StandIn, broken)
    scan = run_now(queued_scan({"m": b"w"}, timeout_seconds=seconds))
    assert (scan.scan_status, scan.verdict) == ("completed", "inconclusive")
    run = scan.runs.get(scanner=broken.name)
    assert run.status == status
    assert said in run.error
    assert said in scan.detail.reasons[0]


def test_what_a_broken_scanner_quotes_is_not_logged(scanners, caplog):
    class Quoting(stand_ins.Garbled):
        name = "quoting"
        code = f"print('cannot read {planted.MARK}0fAConfiguration77')"

    scanners(Quoting)
    secret = f"{planted.MARK}0fAConfiguration77"
    config = {"a": {"command": "a", "env": {"API_TOKEN": secret}}}
    with caplog.at_level("DEBUG"):
        scan = run_now(queued_scan(document={"config": {"mcpServers": config}}))
    assert "quoting did not complete" in caplog.text
    assert secret not in caplog.text
    assert secret not in scan.runs.get(scanner="quoting").error


def test_one_broken_scanner_does_not_cost_the_findings_of_the_others(scanners):
    scanners(stand_ins.Crasher, stand_ins.Finder)
    scan = run_now(queued_scan({"m": b"w"}))
    assert scan.verdict == Verdict.FAIL
    assert len(scan.detail.reasons) == 2


def test_a_scanner_that_was_not_requested_is_a_gap(scanners):
    scanners(stand_ins.StandIn, stand_ins.Finder)
    scan = run_now(queued_scan({"m": b"w"}, scanners=["stand-in"]))
    assert scan.verdict == Verdict.INCONCLUSIVE
    assert scan.runs.get(scanner="finder").status == RunStatus.SKIPPED
    assert scan.detail.reasons == ["finder did not run: it was not requested"]


def test_no_fitting_scanner_is_never_a_pass(scanners):
    scanners()
    assert run_now(queued_scan({"m": b"w"})).verdict == Verdict.INCONCLUSIVE


def test_an_empty_file_is_never_a_pass(scanners):
    scanners(stand_ins.StandIn)
    scan = run_now(queued_scan({"m": b""}))
    assert scan.verdict == Verdict.INCONCLUSIVE
    assert scan.detail.reasons == ["m was not examined: it is empty"]


def test_removed_bytes_fail_the_scan_with_their_reason(scanners, settings):
    scanners(stand_ins.StandIn)
    scan = queued_scan({"m": b"w"})
    scan.files.all().delete()
    scan = run_now(scan)
    assert (scan.scan_status, scan.verdict) == ("failed", "inconclusive")
    assert "have been removed" in scan.detail.reasons[0]


def test_without_a_place_to_work_in_the_scan_fails_with_its_reason(
    scanners, settings, tmp_path
):
    scanners(stand_ins.Finder)
    (tmp_path / "file").touch()
    settings.RUN_DIR = tmp_path / "file" / "runs"
    scan = run_now(queued_scan({"model.bin": b"weights"}))
    assert (scan.scan_status, scan.verdict) == (ScanStatus.FAILED, "inconclusive")
    (reason,) = scan.detail.reasons
    assert "there is no room for it: Not a directory" in reason


def test_a_fault_of_ours_fails_the_scan_and_is_raised(scanners, monkeypatch):
    scanners(stand_ins.StandIn)
    monkeypatch.setattr(recording, "record", lambda *_, **__: 1 / 0)
    scan = queued_scan({"m": b"w"})
    with pytest.raises(ZeroDivisionError):
        pipeline.run(scan.pk, owner="me")
    scan.refresh_from_db()
    assert (scan.scan_status, scan.verdict) == ("failed", "inconclusive")


def test_connections_that_break_while_tools_run_cost_nothing(scanners, caplog):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite's connections do not break")
    has_run, is_broken = threading.Event(), threading.Event()

    class Awaited(stand_ins.Finder):
        def parse(self, target, completed):
            has_run.set()
            assert is_broken.wait(60)
            return super().parse(target, completed)

    scanners(Awaited)
    scan = queued_scan({"m": b"w"})
    thread = run_in_thread(scan)
    assert has_run.wait(60)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid != pg_backend_pid()"
        )
    is_broken.set()
    thread.join(60)
    assert "cannot be recorded yet" in caplog.text
    scan.refresh_from_db()
    assert (scan.scan_status, scan.verdict, scan.attempt) == ("completed", "fail", 1)
    assert (scan.runs.count(), scan.findings.count()) == (1, 1)


def test_a_database_that_stays_away_costs_an_attempt_and_no_verdict(
    scanners, settings, monkeypatch, caplog
):
    def refuse(*_, **__):
        raise OperationalError("the server is gone")

    scanners(stand_ins.StandIn)
    scan = queued_scan({"m": b"w"})
    with monkeypatch.context() as away:
        away.setattr(recording, "record", refuse)
        away.setattr(pipeline, "AGAIN_SECONDS", 0.05)
        settings.LEASE_SECONDS = 2
        pipeline.run(scan.pk, owner="me")
    assert caplog.text.count("cannot be recorded yet") > 1
    assert "went away; the scan runs again" in caplog.text
    scan.refresh_from_db()
    assert (scan.scan_status, scan.verdict) == ("running", None)
    Scan.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    tasks.reap()
    scan = run_now(scan)
    assert (scan.scan_status, scan.verdict, scan.attempt) == ("completed", "pass", 2)


def test_a_duplicate_message_runs_nothing(scanners):
    scanners(stand_ins.Finder)
    scan = run_now(queued_scan({"m": b"w"}))
    pipeline.run(scan.pk, owner="again")
    assert ScannerRun.objects.filter(scan=scan).count() == 1
    assert Scan.objects.get(pk=scan.pk).attempt == 1


def test_an_unknown_scan_is_forgotten(scanners):
    scanners(stand_ins.Finder)
    pipeline.run(uuid.uuid4(), owner="me")


@pytest.mark.parametrize("ending", ["cancel", "delete"])
def test_ending_a_scan_ends_its_tool(scanners, ending):
    scanners(stand_ins.Sleeper)
    scan = queued_scan({"m": b"w"})
    worker = run_in_thread(scan)
    wait_until(lambda: Scan.objects.filter(pk=scan.pk, progress_stage="scan").exists())
    if ending == "cancel":
        assert Scan.objects.cancel(scan.pk)
    else:
        Scan.objects.filter(pk=scan.pk).delete()
    worker.join(timeout=60)
    assert not worker.is_alive()
    assert f"sleep\x00{stand_ins.Sleeper.naps}" not in command_lines()
    if ending == "cancel":
        scan.refresh_from_db()
        assert (scan.scan_status, scan.verdict) == ("cancelled", None)
    assert not Finding.objects.filter(scan_id=scan.pk).exists()


def test_a_worker_that_was_fenced_out_writes_nothing(scanners):
    class Slow(stand_ins.Finder):
        def parse(self, target, completed):
            # The reaper strikes while we work, and another worker claims the scan.
            Scan.objects.filter(pk=scan.pk).update(attempt=9, lease_owner="other")
            return super().parse(target, completed)

    scanners(Slow)
    scan = queued_scan({"m": b"w"})
    pipeline.run(scan.pk, owner="me")
    scan.refresh_from_db()
    assert (scan.scan_status, scan.lease_owner) == (ScanStatus.RUNNING, "other")
    assert not scan.findings.exists()


def test_the_second_scan_of_a_target_knows_what_is_not_new(scanners):
    scanners(stand_ins.Finder)
    run_now(queued_scan({"m": b"w"}, target="resnet"))
    second = run_now(queued_scan({"renamed": b"w"}, target="resnet"))
    assert (second.total_findings, second.new_findings) == (1, 0)


def test_a_truncated_list_of_findings_is_no_pass(scanners, monkeypatch):
    class Many(stand_ins.StandIn):
        code = "print('words:', *('W%d' % n for n in range(12)))"

    scanners(Many)
    monkeypatch.setattr(recording, "MAX_FINDINGS", 10)
    scan = queued_scan({"m": b"w"})
    scan.policy.document = {"severity_threshold": "critical"}
    scan.policy.save()
    scan = run_now(scan)
    assert (scan.total_findings, scan.findings.count()) == (10, 10)
    assert scan.verdict == Verdict.INCONCLUSIVE


def test_many_findings_of_a_deleted_scan_are_dropped_quietly(scanners, caplog):
    count = COPY_ABOVE + 200

    class Many(stand_ins.StandIn):
        code = f"print('words:', *('W%d' % n for n in range({count})))"

    class Deleted(Many):
        def parse(self, target, completed):
            Scan.objects.filter(pk=scan.pk).delete()
            return super().parse(target, completed)

    scanners(Many)
    scan = run_now(queued_scan({"m": b"w"}))
    assert scan.total_findings == scan.findings.count() == count
    Scan.objects.all().delete()
    scanners(Deleted)
    scan = queued_scan({"m": b"w"})
    with caplog.at_level("INFO"):
        pipeline.run(scan.pk, owner="me")
    assert "was ended meanwhile" in caplog.text
    assert not Finding.objects.exists()


def wait_until(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def command_lines() -> str:
    from pathlib import Path

    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return "\n".join(lines)
