"""POST /scans as a form: streamed to disk, whole or not at all."""

from __future__ import annotations

import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from scans import storage
from scans.models import Scan, ScanDetail, ScanFile, Upload
from tests.scans.api_samples import CONFIG, pointers

pytestmark = pytest.mark.django_db
URL = "/api/v1/scans"
BOUNDARY = "frontier"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


@pytest.fixture(autouse=True)
def uploads(settings: Any, tmp_path: Path) -> Path:
    settings.UPLOAD_DIR = tmp_path / "uploads"
    settings.MIN_FREE_BYTES = 0
    return tmp_path / "uploads"


def part(name: str, content: bytes, filename: str | None = None) -> bytes:
    said = f'; filename="{filename}"' if filename is not None else ""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{said}\r\n\r\n'
    )
    return head.encode() + content + b"\r\n"


def send(
    client: APIClient, *parts: bytes, end: bytes | None = None, **more: Any
) -> Any:
    closing = f"--{BOUNDARY}--\r\n".encode() if end is None else end
    body = b"".join(parts) + closing
    return client.post(URL, data=body, content_type=FORM, **more)


def kind(value: str = "model") -> bytes:
    return part("scan_type", value.encode())


def left_over() -> list[Path]:
    return list(storage.incoming_dir().iterdir())


def test_a_file_is_stored_once_by_its_digest(
    scanner_api: APIClient, uploads: Path
) -> None:
    body = {"scan_type": "model", "file": SimpleUploadedFile("a.pkl", b"bytes")}
    first = scanner_api.post(URL, body, format="multipart")
    assert first.status_code == 202, first.content
    assert first.json()["target"] == "a.pkl"
    send(scanner_api, kind(), part("file", b"bytes", "b.pkl"), part("target", b"again"))
    upload = Upload.objects.get()
    assert (upload.size_bytes, ScanFile.objects.count()) == (5, 2)
    path = storage.path_of(upload.sha256)
    assert path.read_bytes() == b"bytes"
    assert path.stat().st_mode & 0o777 == 0o600
    assert left_over() == []
    assert [p for p in uploads.rglob("*") if p.is_file()] == [path]


def test_a_folder_keeps_its_relative_names(scanner_api: APIClient) -> None:
    names = ["model/config.json", "model/weights/a.bin"]
    files = [part("file", name.encode(), name) for name in names]
    answer = send(scanner_api, kind(), *files)
    assert answer.status_code == 202, answer.content
    assert sorted(ScanFile.objects.values_list("name", flat=True)) == names


def test_options_of_a_form_are_texts(scanner_api: APIClient) -> None:
    answer = send(
        scanner_api,
        kind(),
        part("file", b"x", "a.pkl"),
        part("target", "modèle".encode()),
        part("scanners", b"modelaudit, sentrascan-files"),
        part("scanners", b"modelaudit"),
        part("timeout_seconds", b"30"),
        part("labels", b'{"team": "a"}'),
        part("introspect", b"false"),
        part("policy", b"default"),
    )
    assert answer.status_code == 202, answer.content
    detail = ScanDetail.objects.get()
    assert detail.options["scanners"] == ["modelaudit", "sentrascan-files"]
    assert detail.options["timeout_seconds"] == 30
    assert detail.labels == {"team": "a"}
    assert answer.json()["target"] == "modèle"


FILE = part("file", b"x", "a.pkl")


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ([kind()], "/file"),
        ([FILE], "/scan_type"),
        ([kind("picture"), FILE], "/scan_type"),
        ([kind(), kind(), FILE], "/scan_type"),
        ([kind(), FILE, part("colour", b"red")], "/colour"),
        ([kind(), part("picture", b"x", "a.pkl")], "/picture"),
        ([kind(), part("file", b"text")], "/file"),
        ([kind(), FILE, part("file", b"text")], "/file"),
        ([kind(), FILE, FILE], "/file"),
        ([kind(), FILE, part("timeout_seconds", b"soon")], "/timeout_seconds"),
        ([kind(), FILE, part("timeout_seconds", b"9" * 30)], "/timeout_seconds"),
        ([kind(), FILE, part("labels", b"[1]")], "/labels"),
        ([kind(), FILE, part("labels", b"{")], "/labels"),
        ([kind(), FILE, part("labels", b'{"a": 1}')], "/labels/a"),
        ([kind(), FILE, part("introspect", b"maybe")], "/introspect"),
        ([kind(), FILE, part("target", b"\xff")], "/target"),
        ([kind(), FILE, part("target", b"a\x00b")], "/target"),
        ([kind(), FILE, part("scanners", b"")], "/scanners/0"),
        ([kind(), part("config", b"{}", "a.json")], "/config"),
        ([kind("mcp"), part("file", b"{", "a.json")], "/file"),
        ([kind("mcp"), part("file", b"\x80\x04.", "a.json")], "/file"),
        *(
            ([kind(), part("file", b"x", name)], "/file")
            for name in (
                "../a.pkl",
                "a/../../b",
                "/etc/passwd",
                "\\\\\\\\host\\\\a",
                "C:\\\\a",
                "a//b",
                "a/",
                ".",
                "..",
                "a\x01b",
                "a\x7fb",
                "x" * 501,
            )
        ),
    ],
)
def test_a_bad_form_is_400_and_leaves_nothing(
    scanner_api: APIClient, parts: list[bytes], named: str
) -> None:
    answer = send(scanner_api, *parts)
    assert answer.status_code == 400, answer.content
    assert pointers(answer) == {named}
    assert not Scan.objects.exists()
    assert not Upload.objects.exists()
    assert left_over() == []


def test_an_mcp_file_is_read_from_file_or_config(scanner_api: APIClient) -> None:
    for name in ("file", "config"):
        content = json.dumps(CONFIG).encode()
        answer = send(scanner_api, kind("mcp"), part(name, content, "mcp.json"))
        assert answer.status_code == 202, answer.content
        assert answer.json()["target"] == "mcp.json"


@pytest.mark.parametrize("end", [b"", b"--frontier", b"\r\n--other--\r\n"])
def test_a_body_without_its_end_is_400(scanner_api: APIClient, end: bytes) -> None:
    answer = send(scanner_api, kind(), FILE, part("file", b"y" * 9000, "b"), end=end)
    assert answer.status_code == 400, answer.content
    assert not Scan.objects.exists()
    assert left_over() == []


def test_a_client_that_goes_away_leaves_nothing(scanner_api: APIClient) -> None:
    body = kind() + FILE + part("file", b"z" * 3_000_000, "b")
    length = str(len(body) + 500_000)
    ending = {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": length}
    answer = scanner_api.generic("POST", URL, b"", FORM, **ending)
    assert answer.status_code == 400
    assert left_over() == []
    assert not Scan.objects.exists()


def test_a_broken_form_is_400(scanner_api: APIClient) -> None:
    for content_type in ("multipart/form-data", "multipart/form-data; boundary=é"):
        answer = scanner_api.post(URL, data=b"x", content_type=content_type)
        assert answer.status_code == 400, answer.content
        assert answer["Content-Type"] == "application/problem+json"


def test_files_over_the_limit_together_are_413(
    scanner_api: APIClient, settings: Any
) -> None:
    settings.MAX_UPLOAD_BYTES = 1000
    files = [part("file", b"x" * 600, name) for name in ("a", "b")]
    answer = send(scanner_api, kind(), *files)
    assert answer.status_code == 413
    assert answer["Content-Type"] == "application/problem+json"
    assert left_over() == []
    assert not Scan.objects.exists()


def test_a_length_over_the_limit_is_413_before_anything_is_read(
    scanner_api: APIClient, settings: Any
) -> None:
    settings.MAX_UPLOAD_BYTES = 1000
    length = str(1 << 40)
    answer = scanner_api.generic("POST", URL, kind(), FORM, CONTENT_LENGTH=length)
    assert answer.status_code == 413


def test_an_mcp_file_over_the_document_limit_is_413(
    scanner_api: APIClient, settings: Any
) -> None:
    settings.MAX_DOCUMENT_BYTES = 100
    answer = send(scanner_api, kind("mcp"), part("file", b" " * 200, "a.json"))
    assert (answer.status_code, pointers(answer)) == (413, {"/file"})
    assert left_over() == []


def test_a_full_disk_is_507(scanner_api: APIClient, settings: Any) -> None:
    settings.MIN_FREE_BYTES = 1 << 60
    answer = send(scanner_api, kind(), FILE)
    assert answer.status_code == 507
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["Retry-After"]
    assert left_over() == []


def test_a_large_file_is_never_whole_in_memory(scanner_api: APIClient) -> None:
    size = 48 << 20

    class Zeros(io.RawIOBase):
        """A body of `size` zeros in a form, made while it is read."""

        def __init__(self) -> None:
            head = kind() + part("file", b"", "zeros.bin")[:-2]
            tail = f"\r\n--{BOUNDARY}--\r\n".encode()
            self.pieces = [head, *([bytes(1 << 20)] * (size >> 20)), tail]
            self.length = sum(map(len, self.pieces))

        def read(self, count: int = -1) -> bytes:
            if not self.pieces:
                return b""
            piece = self.pieces.pop(0)
            if 0 <= count < len(piece):
                self.pieces.insert(0, piece[count:])
            return piece[:count] if count >= 0 else piece

    body = Zeros()
    tracemalloc.start()
    answer = scanner_api.generic(
        "POST",
        URL,
        b"",
        FORM,
        **{"wsgi.input": body, "CONTENT_LENGTH": str(body.length)},
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert answer.status_code == 202, answer.content
    assert Upload.objects.get().size_bytes == size
    assert peak < size / 3


def test_the_same_form_with_one_idempotency_key_is_one_scan(
    scanner_api: APIClient,
) -> None:
    more = {"headers": {"Idempotency-Key": "once"}}
    first = send(scanner_api, kind(), FILE, **more)
    again = send(scanner_api, kind(), FILE, **more)
    assert first.status_code == 202, first.content
    assert again.json()["scan_id"] == first.json()["scan_id"]
    assert Scan.objects.count() == 1
    other = send(scanner_api, kind(), part("file", b"y", "a.pkl"), **more)
    assert other.status_code == 422
    assert left_over() == []
