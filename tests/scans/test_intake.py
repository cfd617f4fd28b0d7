from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from django.db import connection

from apikeys.audit import COMMAND_LINE
from apikeys.models import AuditEvent
from scanners.contract import TargetKind
from scans import intake, storage, tasks
from scans.choices import Conflict, Gone, NotFound, Refused, ScanStatus
from scans.models import Policy, Scan, Target, Upload
from scans.submissions import Submission
from tests.scans.builders import queued_scan

TOOLS = {"tools": [{"name": "add", "description": "Add two numbers."}]}


@pytest.fixture
def rung(monkeypatch) -> list[str]:
    heard: list[str] = []
    monkeypatch.setattr(tasks, "announce", lambda key, **_: heard.append(str(key)))
    return heard


@pytest.fixture(autouse=True)
def places(settings, tmp_path):
    settings.UPLOAD_DIR = tmp_path / "uploads"
    settings.SCAN_ROOTS = [tmp_path / "models"]
    (tmp_path / "models").mkdir()


def submitted(**fields) -> Scan:
    submission = Submission(**{"scan_type": TargetKind.MODEL, **fields})
    return intake.submit(submission, actor=COMMAND_LINE)


def leftovers(settings) -> list[Path]:
    return list((Path(settings.UPLOAD_DIR) / "incoming").glob("*"))


@pytest.mark.django_db(transaction=True)
class TestSubmitting:
    def test_it_stores_the_bytes_once_and_rings_after_the_commit(self, rung, settings):
        first = queued_scan({"models/a.pkl": b"same"})
        second = queued_scan({"b.pkl": b"same"}, labels={"team": "ml"})
        assert (first.target, second.target) == ("a.pkl", "b.pkl")
        assert rung == [str(first.pk), str(second.pk)]
        upload = Upload.objects.get()
        path = storage.path_of(upload.sha256)
        assert path.read_bytes() == b"same"
        assert path.stat().st_mode & 0o777 == 0o600
        assert leftovers(settings) == []
        assert AuditEvent.objects.filter(action="scan.submit").count() == 2
        assert Target.objects.count() == 2

    def test_many_clients_submitting_the_same_bytes_share_them(self, rung, settings):
        failures = []

        def submit(n: int) -> None:
            try:
                queued_scan({f"{n}.bin": b"same", f"{n}.txt": b"other"}, target="one")
            except Exception as error:  # noqa: BLE001  (the test reports it)
                failures.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=submit, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert (Scan.objects.count(), Upload.objects.count()) == (6, 2)
        assert Target.objects.count() == 1
        assert leftovers(settings) == []


@pytest.mark.django_db
class TestRefusing:
    @pytest.mark.parametrize(
        ("fields", "named"),
        [
            ({}, "target"),
            ({"policy": "nope"}, "policy"),
            ({"scanners": ("nope",)}, "scanners"),
            ({"scanners": ()}, "scanners"),
            ({"timeout_seconds": 0}, "timeout_seconds"),
            ({"timeout_seconds": 10**9}, "timeout_seconds"),
            ({"labels": {"": "x"}}, "labels"),
            ({"labels": {"a": "x\ny"}}, "labels"),
            ({"introspect": True}, "introspect"),
            ({"target": "x" * 501}, "target"),
            ({"source": "http://example.com/m.pkl"}, "target"),
            ({"source": "https://127.1/m.pkl"}, "target"),
            ({"source": "/etc/passwd"}, "target"),
            ({"source": "relative"}, "target"),
            ({"document": TOOLS}, "config"),
            ({"scan_type": TargetKind.MCP}, "config"),
            ({"scan_type": TargetKind.MCP, "document": {"tools": 7}}, "tools"),
            ({"scan_type": TargetKind.MCP, "source": "https://127.1"}, "server_url"),
        ],
    )
    def test_it_names_the_field_and_leaves_nothing(self, fields, named, settings):
        needs_file = named not in {"target", "config", "tools", "server_url"}
        files = (storage.receive("a.pkl", b"x"),) if needs_file else ()
        if named == "target" and "target" in fields:
            files = (storage.receive("a.pkl", b"x"),)
        with pytest.raises(Refused) as refused:
            submitted(files=files, **fields)
        assert refused.value.field.partition("/")[0] == named
        assert leftovers(settings) == []
        assert not Scan.objects.exists()
        assert not Upload.objects.exists()

    def test_a_file_cannot_be_a_folder_too(self, settings):
        files = tuple(storage.receive(name, b"x") for name in ("a", "a/b"))
        with pytest.raises(Refused) as refused:
            submitted(files=files)
        assert refused.value.field == "file"
        assert leftovers(settings) == []

    @pytest.mark.parametrize("name", ["../a", "/a", "a\x00", "a\nb"])
    def test_a_bad_file_name_is_refused(self, name, settings):
        with pytest.raises(Refused) as refused:
            submitted(files=(storage.receive(name, b"x"),))
        assert refused.value.field == "file"
        assert leftovers(settings) == []

    def test_a_document_too_large_to_read_is_refused_unread(self, settings):
        settings.MAX_DOCUMENT_BYTES = 10
        files = (storage.receive("mcp.json", b'{"tools": [{}]}'),)
        with pytest.raises(Refused) as refused:
            submitted(scan_type=TargetKind.MCP, files=files)
        assert refused.value.status == 413
        assert leftovers(settings) == []

    def test_a_nearly_full_disk_refuses_with_507(self, settings):
        received = storage.receive("a", b"x")
        settings.MIN_FREE_BYTES = 1 << 62
        with pytest.raises(Refused) as refused:
            submitted(files=(received,))
        assert refused.value.status == 507
        assert not received.path.exists()


@pytest.mark.django_db(transaction=True)
class TestLater:
    def test_a_path_below_the_roots_is_accepted(self, rung, settings):
        model = settings.SCAN_ROOTS[0] / "-o"
        model.write_bytes(b"x")
        scan = submitted(source=str(model))
        assert scan.target == str(model)
        assert scan.detail.options["source"] == str(model)

    def test_a_document_is_stored_for_its_owner_alone(self, rung):
        scan = queued_scan(document=TOOLS, target="github-server")
        upload = scan.files.get().upload
        path = storage.path_of(upload.sha256)
        assert json.loads(path.read_bytes()) == TOOLS
        assert path.stat().st_mode & 0o777 == 0o600

    def test_cancel_is_once(self, rung):
        scan = queued_scan({"m": b"x"})
        intake.cancel(scan.pk, actor=COMMAND_LINE)
        scan.refresh_from_db()
        assert (scan.scan_status, scan.verdict, scan.passed) == (
            "cancelled",
            None,
            None,
        )
        with pytest.raises(Conflict):
            intake.cancel(scan.pk, actor=COMMAND_LINE)

    def test_a_rescan_uses_the_same_bytes_and_the_newest_policy(self, rung):
        scan = queued_scan({"m": b"x"}, labels={"a": "b"})
        Policy.objects.create(name="default", version=2, document={})
        again = intake.rescan(scan.pk, fresh=True, actor=COMMAND_LINE)
        assert (again.policy_version, again.target) == (2, "m")
        assert again.files.get().upload == scan.files.get().upload
        assert again.detail.labels == {"a": "b"}
        assert again.detail.options["fresh"] is True
        assert rung == [str(scan.pk), str(again.pk)]

    def test_a_rescan_of_removed_bytes_is_gone(self, rung):
        scan = queued_scan({"m": b"x"})
        Upload.objects.all().delete()
        with pytest.raises(Gone):
            intake.rescan(scan.pk, fresh=False, actor=COMMAND_LINE)
        assert Scan.objects.count() == 1

    def test_what_does_not_exist_is_not_found(self, rung):
        scan = queued_scan({"m": b"x"})
        missing = scan.pk
        assert intake.delete([missing], actor=COMMAND_LINE) == 1
        with pytest.raises(NotFound):
            intake.cancel(missing, actor=COMMAND_LINE)
        with pytest.raises(NotFound):
            intake.rescan(missing, fresh=False, actor=COMMAND_LINE)
        assert Scan.objects.filter(scan_status=ScanStatus.QUEUED).count() == 0
