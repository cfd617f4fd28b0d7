"""POST /scans: what is taken, what is refused by name, and what stays on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from scans import storage
from scans.models import Scan, ScanDetail
from tests.scans.api_samples import CONFIG, TOOLS, pointers

pytestmark = pytest.mark.django_db
URL = "/api/v1/scans"


@pytest.fixture(autouse=True)
def uploads(settings: Any, tmp_path: Path) -> Path:
    settings.UPLOAD_DIR = tmp_path / "uploads"
    settings.MIN_FREE_BYTES = 0
    return tmp_path / "uploads"


def post(client: APIClient, body: Any, **headers: str) -> Any:
    return client.post(URL, body, format="json", headers=headers)


def test_a_tool_list_is_accepted(scanner_api: APIClient) -> None:
    body = {"scan_type": "mcp", "target": "adder", "tools": TOOLS}
    answer = post(scanner_api, body)
    assert answer.status_code == 202, answer.content
    found = answer.json()
    assert answer["Location"] == f"{URL}/{found['scan_id']}"
    assert answer["Retry-After"] == "1"
    assert (found["scan_status"], found["target"]) == ("queued", "adder")
    assert (found["verdict"], found["runs"]) == (None, [])
    assert found["requested_by"] == "test-scanner"
    assert scanner_api.get(answer["Location"]).json()["scan_id"] == found["scan_id"]


def test_a_configuration_is_accepted_with_all_options(scanner_api: APIClient) -> None:
    body = {
        "scan_type": "mcp",
        "config": CONFIG,
        "policy": "default",
        "scanners": ["cisco-scanner"],
        "timeout_seconds": 20,
        "labels": {"team": "ä"},
        "introspect": False,
    }
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = post(scanner_api, body, traceparent=trace)
    assert answer.status_code == 202, answer.content
    detail = ScanDetail.objects.get()
    assert detail.labels == {"team": "ä"}
    assert detail.options["scanners"] == ["cisco-scanner"]
    assert detail.options["timeout_seconds"] == 20
    assert detail.traceparent == trace


def test_a_path_below_the_roots_is_accepted(
    scanner_api: APIClient, settings: Any, tmp_path: Path
) -> None:
    settings.SCAN_ROOTS = [tmp_path]
    (tmp_path / "a.pkl").write_bytes(b"x")
    body = {"scan_type": "model", "target": str(tmp_path / "a.pkl")}
    answer = post(scanner_api, body)
    assert answer.status_code == 202, answer.content
    for wrong in (str(tmp_path / "missing"), "/etc/passwd", "-x", "http://a.b/c.bin"):
        refused = post(scanner_api, {"scan_type": "model", "target": wrong})
        assert (refused.status_code, pointers(refused)) == (400, {"/target"})
    assert Scan.objects.count() == 1


MCP = {"scan_type": "mcp", "tools": TOOLS}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "/scan_type"),
        ([], ""),
        ([1], ""),
        (None, ""),
        ("text", ""),
        (7, ""),
        ({"scan_type": None}, "/scan_type"),
        ({"scan_type": "picture", "target": "a"}, "/scan_type"),
        ({"scan_type": ["model"], "target": "a"}, "/scan_type"),
        ({"scan_type": "model"}, "/target"),
        ({"scan_type": "model", "target": 7}, "/target"),
        ({"scan_type": "model", "target": ""}, "/target"),
        ({"scan_type": "model", "target": "a\x00b"}, "/target"),
        ({"scan_type": "model", "target": "x" * 501}, "/target"),
        ({"scan_type": "model", "target": "a", "tools": []}, "/tools"),
        ({"scan_type": "mcp"}, "/config"),
        (MCP | {"colour": "red"}, "/colour"),
        (MCP | {"a/b~c": 1}, "/a~1b~0c"),
        (MCP | {"target": 7}, "/target"),
        (MCP | {"target": "line\nbreak"}, "/target"),
        (MCP | {"policy": None}, "/policy"),
        (MCP | {"policy": "nobody-made-this"}, "/policy"),
        (MCP | {"scanners": "modelaudit"}, "/scanners"),
        (MCP | {"scanners": []}, "/scanners"),
        (MCP | {"scanners": ["no-such-scanner"]}, "/scanners"),
        (MCP | {"scanners": [1]}, "/scanners/0"),
        (MCP | {"timeout_seconds": "5"}, "/timeout_seconds"),
        (MCP | {"timeout_seconds": 5.0}, "/timeout_seconds"),
        (MCP | {"timeout_seconds": True}, "/timeout_seconds"),
        (MCP | {"timeout_seconds": 0}, "/timeout_seconds"),
        (MCP | {"timeout_seconds": 10**9}, "/timeout_seconds"),
        (MCP | {"labels": []}, "/labels"),
        (MCP | {"labels": {"a": 1}}, "/labels/a"),
        (MCP | {"labels": {"a": None}}, "/labels/a"),
        (MCP | {"labels": {str(n): "x" for n in range(33)}}, "/labels"),
        (MCP | {"introspect": "yes"}, "/introspect"),
        (MCP | {"introspect": True}, "/introspect"),
        (MCP | {"tools": {}}, "/tools"),
        (MCP | {"tools": None}, "/tools"),
        (MCP | {"tools": [7]}, "/tools/0"),
        (MCP | {"tools": [{"name": 7}]}, "/tools/0/name"),
        ({"scan_type": "mcp", "config": 5}, "/config"),
        ({"scan_type": "mcp", "config": {"mcpServers": []}}, "/config/mcpServers"),
        ({"scan_type": "mcp", "server_url": "https://127.1"}, "/server_url"),
        ({"scan_type": "mcp", "server_url": 1}, "/server_url"),
    ],
)
def test_a_bad_body_is_400_and_named(
    scanner_api: APIClient, body: Any, named: str
) -> None:
    raw = json.dumps(body)
    answer = scanner_api.post(URL, raw, content_type="application/json")
    assert answer.status_code == 400, answer.content
    assert pointers(answer) == {named}
    assert not Scan.objects.exists()
    assert not list(storage.incoming_dir().iterdir())


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"\xff\xfe{}",
        b'{"scan_type": "mcp", "scan_type": "model"}',
        b'{"scan_type": NaN}',
        b'{"scan_type": "\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"timeout_seconds": 1e999}',
        b"[" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b"1" * 10_000,
    ],
)
def test_json_that_is_not_plain_json_is_400(scanner_api: APIClient, raw: bytes) -> None:
    answer = scanner_api.post(URL, raw, content_type="application/json")
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_a_body_of_another_type_is_415(scanner_api: APIClient) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "x"):
        answer = scanner_api.post(URL, "a=b", content_type=content_type)
        assert answer.status_code == 415
        assert answer["Content-Type"] == "application/problem+json"


def test_a_json_body_over_the_limit_is_413(
    scanner_api: APIClient, settings: Any
) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    answer = post(scanner_api, MCP | {"instructions": "x" * 1000})
    assert answer.status_code == 413
    assert answer["Content-Type"] == "application/problem+json"


def test_a_query_on_a_post_is_refused(scanner_api: APIClient) -> None:
    answer = scanner_api.post(f"{URL}?dry_run=1", MCP, format="json")
    assert (answer.status_code, pointers(answer)) == (400, {"dry_run"})


def test_the_same_json_with_one_idempotency_key_is_one_scan(
    scanner_api: APIClient,
) -> None:
    key = {"Idempotency-Key": "j"}
    first, again = (post(scanner_api, MCP, **key) for _ in range(2))
    assert first.status_code == 202, first.content
    assert again.json() == first.json()
    assert again["Location"] == first["Location"]
    assert Scan.objects.count() == 1
    long = post(scanner_api, MCP, **{"Idempotency-Key": "k" * 256})
    assert (long.status_code, pointers(long)) == (400, {"Idempotency-Key"})
