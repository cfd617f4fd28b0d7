"""The same target twice, through the real tools: the same findings, and no tool."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from scans.models import Scan, StoredResult
from tests.scanners import mcp_samples, mcp_servers, samples
from tests.scans.builders import queued_scan, run_now

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
    pytest.mark.usefixtures("tools", "no_broker"),
]
URL = "/api/v1/scans"
TOLD = ("scanner", "rule", "severity", "category", "title", "description", "location")
KEPT = (*TOLD, "evidence", "remediation", "taxonomy", "fingerprint")
WEATHER = {"mcpServers": {"weather": {"command": "python3", "args": ["weather.py"]}}}


@pytest.fixture
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scans.tasks.announce", lambda scan_id, **_: None)


def reused(scan: Scan) -> dict[str, bool]:
    return {run.scanner: run.reused_from is not None for run in scan.runs.all()}


def findings(scan: Scan) -> list[dict[str, Any]]:
    return list(scan.findings.order_by("fingerprint").values(*KEPT))


def submitted(document: dict[str, Any]) -> dict[str, Any]:
    return {name: piece for name, piece in document.items() if piece}


@pytest.mark.parametrize(
    "files",
    [
        {"bad.pkl": samples.malicious_pickle()},
        {"checkpoint.pt": samples.torch_zip()},
        samples.repository(),
        samples.repository() | {"sub/x.bin": samples.malicious_pickle()},
    ],
    ids=["pickle", "torch", "repository", "bad repository"],
)
def test_the_same_files_again_are_told_from_what_was_stored(files) -> None:
    first, second = run_now(queued_scan(files)), run_now(queued_scan(files))
    assert set(reused(first).values()) == {False}
    assert set(reused(second).values()) == {True}
    assert findings(second) == findings(first)
    assert (second.verdict, second.detail.reasons) == (
        first.verdict,
        first.detail.reasons,
    )
    covered = [list(s.runs.values_list("coverage", flat=True)) for s in (first, second)]
    assert covered[0] == covered[1]


def test_a_changed_byte_and_another_name_are_looked_at() -> None:
    raw = samples.malicious_pickle()
    run_now(queued_scan({"bad.pkl": raw}))
    for files in ({"bad.pkl": raw + b"\0"}, {"other.bin": raw}):
        scan = run_now(queued_scan(files))
        assert set(reused(scan).values()) == {False}
        assert scan.verdict != "pass"


def test_a_tool_list_with_a_secret_is_told_again_and_stored_without_it() -> None:
    server = {"command": "npx", "env": {"GITHUB_TOKEN": mcp_samples.GITHUB_TOKEN}}
    document = submitted(mcp_samples.ONE) | {
        "config": {"mcpServers": {"weather": server}}
    }
    first, second = (run_now(queued_scan(document=document)) for _ in range(2))
    assert first.findings.filter(category="secret_exposure").exists()
    assert set(reused(second).values()) == {True}
    assert findings(second) == findings(first)
    stored = "".join(StoredResult.objects.values_list("report", flat=True))
    assert stored
    assert mcp_samples.GITHUB_TOKEN not in stored
    changed = json.loads(json.dumps(document))
    changed["tools"][0]["description"] += "!"
    assert set(reused(run_now(queued_scan(document=changed))).values()) == {False}


def test_servers_are_asked_each_time_and_only_the_same_answers_are_known(
    scanner_api: APIClient, settings: Any
) -> None:
    settings.MCP_INTROSPECTION = "sandboxed"

    def scanned(program: str) -> Scan:
        body = {
            "scan_type": "mcp",
            "introspect": "true",
            "file": [SimpleUploadedFile("weather.py", program.encode())],
            "config": SimpleUploadedFile("mcp.json", json.dumps(WEATHER).encode()),
        }
        answer = scanner_api.post(URL, body, format="multipart")
        return run_now(Scan.objects.get(pk=answer.json()["scan_id"]))

    first, second = scanned(mcp_servers.program()), scanned(mcp_servers.program())
    assert first.verdict == second.verdict == "pass"
    assert set(reused(second).values()) == {True}
    # The configuration is the same to the byte; what its server does is not.
    third = scanned(mcp_servers.program(mcp_servers.CHANGING))
    assert set(reused(third).values()) == {False}
    assert third.verdict != "pass"


def test_it_is_told_in_the_answer_and_fresh_looks_again(
    scanner_api: APIClient,
) -> None:
    def posted(url: str, body: dict[str, Any], **options: Any) -> dict[str, Any]:
        answer = scanner_api.post(url, body, **options)
        assert answer.status_code == 202, answer.content
        where = f"{URL}/{answer.json()['scan_id']}"
        run_now(Scan.objects.get(pk=answer.json()["scan_id"]))
        found: dict[str, Any] = scanner_api.get(where).json()
        return found

    def upload() -> dict[str, Any]:
        file = SimpleUploadedFile("a.npy", samples.npy())
        body = {"scan_type": "model", "file": file}
        return posted(URL, body, format="multipart")

    first, second = upload(), upload()
    assert [run["reused_from"] for run in first["runs"]] == [None, None]
    assert all(run["reused_from"] for run in second["runs"])
    again = f"{URL}/{first['scan_id']}/rescan"
    assert all(run["reused_from"] for run in posted(again, {})["runs"])
    fresh = posted(again, {"fresh": True})
    assert [run["reused_from"] for run in fresh["runs"]] == [None, None]
    verdict = scanner_api.get(f"/api/v1/verdicts/sha256:{first['digest']}").json()
    assert (verdict["verdict"], verdict["is_current"]) == ("pass", True)
    assert verdict["scan_id"] == fresh["scan_id"]
