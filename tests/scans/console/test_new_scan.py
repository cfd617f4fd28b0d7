"""A scan is asked for in each way, and what is wrong is said where it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apikeys.audit import COMMAND_LINE
from scans import policies, policy_choice, storage
from scans.models import Scan
from tests.scans.api_samples import CONFIG, TOOLS
from tests.scans.console.people import make_user

pytestmark = pytest.mark.django_db

PASTED = {"way": "document", "document": json.dumps(CONFIG)}


def sent(client: Client, **fields: object):
    return client.post("/scans/new", fields)


def newest() -> Scan:
    return Scan.objects.select_related("detail").get()


def left_behind() -> list[Path]:
    return [each for each in storage.incoming_dir().iterdir() if each.is_file()]


def test_files_are_scanned_with_their_folders(scanner):
    files = [
        SimpleUploadedFile("a.bin", b"a"),
        SimpleUploadedFile("b.bin", b"b"),
    ]
    answer = sent(scanner, way="file", scan_type="model", file=files, target="both")
    scan = newest()
    assert answer["Location"] == f"/scans/{scan.pk}"
    assert (scan.target, scan.scan_type, scan.requested_by) == ("both", "model", "sam")
    assert set(scan.files.values_list("name", flat=True)) == {"a.bin", "b.bin"}


@pytest.mark.parametrize("document", [{"tools": TOOLS}, CONFIG, TOOLS])
def test_what_is_pasted_is_scanned(scanner, document):
    sent(scanner, way="document", document=json.dumps(document), target="notes")
    assert (newest().scan_type, newest().target) == ("mcp", "notes")


def test_a_path_is_scanned(scanner, settings, tmp_path):
    settings.SCAN_ROOTS = [tmp_path.resolve()]
    (tmp_path / "m.bin").write_bytes(b"m")
    sent(scanner, way="place", source=str(tmp_path / "m.bin"), policy="default")
    assert newest().detail.options["source"] == str(tmp_path.resolve() / "m.bin")


def test_who_chooses_no_policy_has_the_one_for_the_target(scanner):
    policies.create("strict", {}, actor=COMMAND_LINE)
    policy_choice.create(
        scan_type="mcp", pattern="prod-*", policy="strict", actor=COMMAND_LINE
    )
    form = scanner.get("/scans/new").content.decode()
    assert '<option value="">as chosen for its type and name</option>' in form
    text = json.dumps({"tools": TOOLS})
    sent(scanner, way="document", document=text, target="prod-a", policy="")
    assert newest().policy_name == "strict"
    Scan.objects.all().delete()
    sent(scanner, way="document", document=text, target="prod-a", policy="default")
    assert newest().policy_name == "default"


def test_a_server_is_scanned_with_its_headers(scanner):
    sent(
        scanner,
        way="server",
        server_url="https://mcp.example.com/mcp",
        headers="Authorization: Bearer x\nX-Team: a",
    )
    assert newest().detail.options["has_headers"] is True
    assert b"Bearer x" not in json.dumps(newest().detail.options).encode()


def test_labels_and_a_time_limit_go_with_the_scan(scanner):
    sent(
        scanner,
        way="document",
        document=json.dumps(CONFIG),
        labels="team = search\r\n\r\nurl=https://x.example/?a=b\r\n",
        timeout_seconds="42",
    )
    detail = newest().detail
    assert detail.labels == {"team": "search", "url": "https://x.example/?a=b"}
    assert detail.options["timeout_seconds"] == 42


def test_who_says_nothing_has_no_labels_and_no_time_limit(scanner):
    sent(scanner, way="document", document=json.dumps(CONFIG), labels=" \r\n")
    detail = newest().detail
    assert detail.labels == {}
    assert detail.options["timeout_seconds"] is None


def test_some_scanners_only(scanner):
    file = SimpleUploadedFile("a.bin", b"a")
    sent(scanner, way="file", file=file, has_scanners="yes", scanner=["modelaudit"])
    assert newest().detail.options["scanners"] == ["modelaudit"]


def test_all_that_are_ticked_is_no_choice(scanner):
    file = SimpleUploadedFile("a.bin", b"a")
    every = ["modelaudit", "sentrascan-files", "cisco-scanner"]
    sent(scanner, way="file", file=file, has_scanners="yes", scanner=every)
    assert newest().detail.options["scanners"] is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"way": "file"}, "choose a file"),
        ({"way": "place"}, "This is needed"),
        ({"way": "place", "source": "/etc/passwd"}, "target"),
        ({"way": "document", "document": "{"}, "config"),
        ({"way": "server", "server_url": "gopher://x"}, "server url"),
        (
            {"way": "server", "server_url": "https://x.example", "headers": "x"},
            "One a line",
        ),
        ({"way": "document", "document": "{}", "policy": "none"}, "role=.alert"),
        ({"way": "teleport"}, "Choose what is to be scanned"),
        ({**PASTED, "labels": "team"}, "One a line, such as team=search"),
        ({**PASTED, "labels": "a=1\na=2"}, "Each name stands once"),
        ({**PASTED, "labels": "a="}, "keys and values are"),
        ({**PASTED, "labels": "=a"}, "keys and values are"),
        ({**PASTED, "timeout_seconds": "soon"}, "A whole number of seconds"),
        ({**PASTED, "timeout_seconds": "0"}, "Must be from 1 to"),
        ({**PASTED, "timeout_seconds": "9" * 5000}, "A whole number of seconds"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_stays(scanner, fields, said):
    import re

    answer = sent(scanner, **fields)
    page = answer.content.decode()
    assert answer.status_code == 400
    assert re.search(said, page, re.IGNORECASE)
    assert 'role="alert"' in page
    for typed in {"source", "timeout_seconds"} & fields.keys():
        assert f'value="{fields[typed]}"' in page
    if typed := fields.get("labels"):
        assert f">{typed}</textarea>" in page
    assert not Scan.objects.exists()
    assert left_behind() == []


def test_a_name_that_leaves_its_folder_is_refused(scanner):
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="../a"\r\n\r\n'
        b"a\r\n--x--\r\n"
    )
    answer = scanner.post("/scans/new", body, "multipart/form-data; boundary=x")
    assert answer.status_code == 400
    assert b"leaves its folder" in answer.content


def test_too_much_is_refused(scanner, settings):
    settings.MAX_UPLOAD_BYTES = 1 << 20
    file = SimpleUploadedFile("a.bin", b"a" * (2 << 20))
    answer = sent(scanner, way="file", file=file)
    assert answer.status_code == 413
    assert b"1 MiB" in answer.content
    assert left_behind() == []


def test_a_body_without_its_token_leaves_nothing(db):
    client = Client(enforce_csrf_checks=True)
    user = make_user("eve", "scanner")
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    answer = sent(client, way="file", file=SimpleUploadedFile("a.bin", b"a"))
    assert answer.status_code == 403
    assert not Scan.objects.exists()
    assert left_behind() == []


def test_a_viewer_submits_nothing(viewer):
    answer = sent(viewer, way="document", document=json.dumps(CONFIG))
    assert answer.status_code == 403
    assert not Scan.objects.exists()
