"""From submitted bytes to a verdict, through the real tools in the real sandbox."""

from __future__ import annotations

import json

import pytest

from scans import detection
from scans.models import Scan
from tests.scanners import mcp_samples, samples
from tests.scanners.sevenzips import seven_zip
from tests.scans.builders import queued_scan, run_now

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
    pytest.mark.usefixtures("tools", "no_broker"),
]


@pytest.fixture
def no_broker(monkeypatch):
    monkeypatch.setattr("scans.tasks.announce", lambda scan_id, **_: None)


def explained(scan: Scan) -> str:
    """What a person would want to see when a verdict surprises."""
    lines = [f"{scan.scan_status} {scan.verdict}", *scan.detail.reasons]
    lines += [f"{run.scanner}: {run.status} {run.error}" for run in scan.runs.all()]
    lines += [f"{f.severity} {f.rule} {f.title}" for f in scan.findings.all()]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "files",
    [
        {"clean.npy": samples.npy()},
        {"clean.safetensors": samples.safetensors()},
        {"clean.onnx": samples.onnx()},
        {"clean.pkl": samples.clean_pickle()},
        {"checkpoint.pt": samples.torch_zip()},
        samples.repository(),
        {"repository.zip": samples.zip_of(samples.repository())},
        {"repository.7z": seven_zip(samples.repository())},
    ],
    ids=["npy", "safetensors", "onnx", "pickle", "torch", "repository", "zip", "7z"],
)
def test_a_harmless_model_passes(files):
    scan = run_now(queued_scan(files))
    assert scan.verdict == "pass", explained(scan)
    assert scan.runs.count() == 2
    assert all(run.coverage["complete"] for run in scan.runs.all())


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_fails_and_says_where(protocol):
    scan = run_now(queued_scan({"bad.pkl": samples.malicious_pickle(protocol)}))
    assert scan.verdict == "fail", explained(scan)
    assert scan.critical_count >= 1
    worst = scan.findings.order_by("-severity").first()
    assert worst.rule.startswith("modelaudit:")
    assert worst.location["path"] == "bad.pkl"
    assert worst.taxonomy["cwe"]


def test_a_malicious_member_of_a_7z_is_named_by_its_place():
    files = {"pack.7z": seven_zip({"sub/x.bin": samples.malicious_pickle()})}
    scan = run_now(queued_scan(files))
    assert scan.verdict == "fail", explained(scan)
    assert {f.location["path"] for f in scan.findings.all()} == {"sub/x.bin"}


def test_a_malicious_file_deep_in_a_folder_is_named_by_its_place():
    files = samples.repository() | {"sub/dir/x.bin": samples.malicious_pickle()}
    scan = run_now(queued_scan(files))
    assert scan.verdict == "fail", explained(scan)
    assert any(f.location["path"] == "sub/dir/x.bin" for f in scan.findings.all())


@pytest.mark.parametrize(
    "files",
    [
        {"cut.pkl": samples.truncated_pickle()},
        {"empty.pkl": b""},
        {"what.xyz": bytes(range(256)) * 8},
        samples.repository() | {"modeling.py": b"import os\n"},
        {"broken.zip": b"PK\x03\x04 no archive"},
        {"secret.7z": seven_zip(samples.repository(), password="secret")},
        {"cut.7z": seven_zip(samples.repository())[:-9]},
        {"call.pkl": samples.unknown_call_pickle()},
        {"picture.png": samples.png(trailing=samples.zip_of({"a": b"b"}))},
    ],
    ids=[
        *("cut", "empty", "unknown", "code", "broken-zip", "secret-7z", "cut-7z"),
        *("call", "polyglot"),
    ],
)
def test_what_cannot_be_examined_is_not_a_pass(files):
    scan = run_now(queued_scan(files))
    assert scan.verdict in {"inconclusive", "fail"}, explained(scan)
    assert scan.detail.reasons


def test_an_archive_that_leads_outside_fails():
    files = {"evil.zip": samples.zip_of({"../../etc/evil.txt": b"x"})}
    scan = run_now(queued_scan(files))
    assert scan.verdict == "fail", explained(scan)


def test_a_harmless_tool_list_passes():
    scan = run_now(queued_scan(document=submitted(mcp_samples.HARMLESS)))
    assert scan.verdict == "pass", explained(scan)
    notes = [note for run in scan.runs.all() for note in run.coverage["notes"]]
    assert any("language model" in note for note in notes)


def test_a_poisoned_tool_list_fails_and_names_the_tool():
    scan = run_now(queued_scan(document=submitted(mcp_samples.ONE)))
    assert scan.verdict == "fail", explained(scan)
    assert any(f.location["tool"] == "weather" for f in scan.findings.all())


def test_a_configuration_with_a_token_fails_and_shows_it_nowhere(caplog):
    config = {
        "mcpServers": {
            "github": {
                "command": "npx",
                "args": ["-y", "@modelcontextprotocol/server-github"],
                "env": {"GITHUB_TOKEN": mcp_samples.GITHUB_TOKEN, "PIN": "48151623"},
                "envFile": f"TOKEN={mcp_samples.RANDOM}",
            }
        },
        "inputs": [{"id": "key", "password": True, "default": "hunter2hunter2"}],
    }
    scan = run_now(queued_scan(document={"config": config}))
    assert scan.verdict == "fail", explained(scan)
    secret = scan.findings.filter(category="secret_exposure").first()
    assert secret.location["server"] == "github"
    rows = [
        list(scan.findings.values()),
        list(scan.runs.values()),
        list(Scan.objects.values()),
        list(Scan.objects.values("detail__options", "detail__reasons")),
        scan.snapshot.document,
    ]
    said = json.dumps(rows, default=str) + caplog.text
    for value in (mcp_samples.GITHUB_TOKEN, mcp_samples.RANDOM, "48151623", "hunter2"):
        assert value not in said
    server = scan.snapshot.document["definitions"]["servers/github"]
    assert sorted(server["env"]) == ["GITHUB_TOKEN", "PIN"]
    assert all(value.startswith("hmac:") for value in server["env"].values())


def test_a_configuration_alone_names_the_servers_it_could_not_look_into():
    config = {"mcpServers": {"docs": {"url": "https://docs.example.com/mcp"}}}
    scan = run_now(queued_scan(document={"config": config}))
    assert scan.verdict == "inconclusive", explained(scan)
    assert any("servers/docs" in reason for reason in scan.detail.reasons)


def test_no_command_of_a_configuration_is_ever_started(tmp_path):
    witness = tmp_path / "started"
    config = {"mcpServers": {"evil": {"command": "touch", "args": [str(witness)]}}}
    run_now(queued_scan(document={"config": config}))
    run_now(queued_scan(document={"config": config, **submitted(mcp_samples.HARMLESS)}))
    assert not witness.exists()


def test_an_empty_tool_list_is_not_a_pass():
    scan = run_now(queued_scan(document={"tools": []}))
    assert scan.verdict == "inconclusive"
    assert "nothing to examine" in scan.detail.reasons[0]


def test_every_scanner_finds_what_was_planted():
    found = {
        item.scanner: (item.status, item.reason) for item in detection.detect_all()
    }
    assert found
    assert all(status == "available" for status, _ in found.values()), found


def test_a_missing_tool_is_said_and_never_a_pass(settings, tmp_path):
    settings.SCANNERS_DIR = tmp_path
    scan = run_now(queued_scan({"clean.npy": samples.npy()}))
    assert scan.verdict == "inconclusive", explained(scan)
    assert "modelaudit gave no answer: not installed; run make setup" in (
        scan.detail.reasons
    )


def submitted(document: dict) -> dict:
    """Return the pieces that a client would send of the one shape."""
    return {name: piece for name, piece in document.items() if piece}
