"""Signed verdicts: what the API gives, and what an independent reader makes of it."""

from __future__ import annotations

import base64
import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.utils import timezone
from rest_framework.test import APIClient
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from scans import sealing
from scans.attestation import envelope, issuing
from scans.models import Policy, Scan, ScanSnapshot, ScanWaiver, Waiver
from tests.scans.api_samples import DIGEST, make_run, make_scan

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]
LOCK = "cd" * 32


@pytest.fixture(autouse=True)
def key_file(settings, tmp_path: Path) -> Path:
    settings.INSTALLATION_KEY_PATH = tmp_path / "installation-key"
    return settings.INSTALLATION_KEY_PATH


def judged_scan(**fields: Any) -> Scan:
    scan = make_scan(digest=DIGEST, **fields)
    coverage = {
        "complete": True,
        "files_total": 1,
        "files_scanned": 1,
        "files_inert": 0,
        "bytes_scanned": 3,
        "skipped": [],
        "notes": [],
    }
    make_run(scan, tool_version="0.2.54", lock_digest=LOCK, coverage=coverage)
    make_run(scan, "sentrascan-files", coverage=coverage)
    return scan


def accepted(scan: Scan, *, days: int) -> Waiver:
    waiver = Waiver.objects.create(
        fingerprint=f"v1:{'0' * 64}",
        reason="known",
        created_by="ann",
        expires_at=timezone.now() + timedelta(days=days),
    )
    ScanWaiver.objects.create(
        scan=scan,
        waiver_id=waiver.pk,
        fingerprint=waiver.fingerprint,
        reason=waiver.reason,
        created_by=waiver.created_by,
        expires_at=waiver.expires_at,
    )
    return waiver


def url_of(scan: Scan) -> str:
    return f"/api/v1/scans/{scan.pk}/attestation"


def statement_in(document: dict[str, Any]) -> dict[str, Any]:
    return json.loads(base64.b64decode(document["payload"]))


def independent_key(anonymous_api: APIClient) -> SSlibKey:
    published = anonymous_api.get("/api/v1/attestation-key").json()
    return SSlibKey.from_crypto(load_pem_public_key(published["public_key"].encode()))


def test_it_says_what_was_looked_at_with_what_and_how_it_was_judged(
    viewer_api: APIClient,
) -> None:
    scan = judged_scan(policy_version=3, finished_at=datetime(2026, 5, 1, tzinfo=UTC))
    Policy.objects.create(name="default", version=3, document={"only_new": True})
    answer = viewer_api.get(url_of(scan))
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    document = answer.json()
    assert document["payloadType"] == "application/vnd.in-toto+json"
    said = statement_in(document)
    assert said["_type"] == "https://in-toto.io/Statement/v1"
    assert said["subject"] == [{"name": "model.pkl", "digest": {"sha256": DIGEST}}]
    told = said["predicate"]
    assert (told["verdict"], told["scan_id"]) == ("pass", str(scan.pk))
    assert (told["policy"]["name"], told["policy"]["version"]) == ("default", 3)
    assert len(told["policy"]["sha256"]) == 64
    assert (told["issued_at"], told["expires_at"]) == (
        "2026-05-01T00:00:00Z",
        "2026-07-30T00:00:00Z",
    )
    tool, ours = told["scanners"]
    assert tool["scanner"] == "modelaudit"
    assert (tool["tool_version"], tool["lock_sha256"]) == ("0.2.54", LOCK)
    assert tool["coverage"]["complete"] is True
    assert (ours["scanner"], ours["lock_sha256"]) == ("sentrascan-files", None)


def test_an_independent_implementation_verifies_it_and_no_flipped_bit(
    viewer_api: APIClient, anonymous_api: APIClient
) -> None:
    document = viewer_api.get(url_of(judged_scan())).json()
    key = independent_key(anonymous_api)
    read = Envelope.from_dict(json.loads(json.dumps(document)))
    assert list(read.verify([key], threshold=1)) == [key.keyid]
    flipped = bytearray(read.payload)
    flipped[len(flipped) // 2] ^= 1
    read.payload = bytes(flipped)
    with pytest.raises(VerificationError):
        read.verify([key], threshold=1)


def test_we_read_what_an_independent_implementation_signed() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from securesystemslib.signer import CryptoSigner

    private = Ed25519PrivateKey.generate()
    theirs = Envelope(b'{"a": 1}', "text/x", {})
    theirs.sign(CryptoSigner(private))
    raw = json.dumps(theirs.to_dict()).encode()
    assert envelope.opened(raw, "text/x", private.public_key()) == b'{"a": 1}'
    assert envelope.key_id(private.public_key()) == next(iter(theirs.signatures))


def test_the_same_scan_has_the_same_attestation_and_etag(
    viewer_api: APIClient,
) -> None:
    scan = judged_scan()
    first, second = viewer_api.get(url_of(scan)), viewer_api.get(url_of(scan))
    assert first.content == second.content
    again = viewer_api.get(url_of(scan), headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert viewer_api.head(url_of(scan))["ETag"] == first["ETag"]


def test_the_key_needs_no_key_and_stays_the_same(anonymous_api: APIClient) -> None:
    first = anonymous_api.get("/api/v1/attestation-key")
    assert first.status_code == 200
    assert set(first.json()) == {"keyid", "algorithm", "public_key"}
    assert first.json() == anonymous_api.get("/api/v1/attestation-key").json()
    private = base64.b64encode(sealing.derived(sealing.Purpose.ATTESTATION)).decode()
    assert private not in first.content.decode()
    assert anonymous_api.get("/api/v1/attestation-key?x=1").status_code == 400


def test_without_its_key_it_signs_nothing_and_says_so(
    viewer_api: APIClient, anonymous_api: APIClient, key_file: Path
) -> None:
    scan = judged_scan()
    assert viewer_api.get(url_of(scan)).status_code == 200
    key_file.unlink()
    for answer in (
        viewer_api.get(url_of(scan)),
        anonymous_api.get("/api/v1/attestation-key"),
    ):
        assert answer.status_code == 503
        assert answer["Retry-After"] == "60"
        assert str(key_file) not in answer.content.decode()
    assert not key_file.exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"scan_status": "queued"},
        {"scan_status": "running"},
        {"scan_status": "cancelled"},
        {"scan_status": "failed"},
        {"scan_status": "completed"},
    ],
    ids=["queued", "running", "cancelled", "failed", "no digest"],
)
def test_without_a_verdict_on_bytes_there_is_nothing_to_sign(
    viewer_api: APIClient, fields: dict[str, Any]
) -> None:
    answer = viewer_api.get(url_of(make_scan(**fields)))
    assert answer.status_code == 409
    assert answer["Content-Type"] == "application/problem+json"


def test_it_refuses_as_the_rest_of_the_api_does(
    viewer_api: APIClient, anonymous_api: APIClient
) -> None:
    url = url_of(judged_scan())
    assert anonymous_api.get(url).status_code == 401
    assert viewer_api.get(f"{url}?x=1").status_code == 400
    assert viewer_api.post(url, {}).status_code == 405
    nowhere = f"/api/v1/scans/{uuid.uuid4()}/attestation"
    assert viewer_api.get(nowhere).status_code == 404


def test_it_holds_no_longer_than_the_waivers_that_it_rests_on(
    viewer_api: APIClient,
) -> None:
    scan = judged_scan(finished_at=timezone.now())
    waiver = accepted(scan, days=5)
    told = statement_in(viewer_api.get(url_of(scan)).json())["predicate"]
    assert told["expires_at"] == f"{waiver.expires_at:%Y-%m-%dT%H:%M:%SZ}"
    assert [each["waiver_id"] for each in told["waivers"]] == [str(waiver.pk)]
    waiver.delete()
    answer = viewer_api.get(url_of(scan))
    assert answer.status_code == 409
    assert "waiver" in answer.json()["detail"]


def test_a_policy_that_is_gone_is_not_taken_for_another(viewer_api: APIClient) -> None:
    policy = Policy.objects.create(name="strict", version=2, document={})
    scan = judged_scan(policy_name="strict", policy_version=2)
    assert viewer_api.get(url_of(scan)).status_code == 200
    policy.delete()
    answer = viewer_api.get(url_of(scan))
    assert answer.status_code == 409
    assert "strict v2" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("scan_type", "elements", "kind"),
    [
        ("model", [{"path": "a.pkl", "size": 3, "digest": DIGEST}], "file"),
        ("model", [{"path": "a.pkl", "size": 3, "digest": "ef" * 32}], "listing"),
        ("model", [{"path": p, "size": 1, "digest": DIGEST} for p in "ab"], "listing"),
        ("mcp", [{"path": "tools/add", "size": 3, "digest": DIGEST}], "document"),
    ],
)
def test_it_says_what_its_digest_is_that_of(
    scan_type: str, elements: list[dict[str, Any]], kind: str
) -> None:
    scan = judged_scan(scan_type=scan_type)
    ScanSnapshot.objects.filter(scan=scan).update(elements=elements)
    assert statement_in(issuing.attest(scan.pk))["predicate"]["digest_of"] == kind


def test_it_costs_the_same_few_queries_for_every_scan(
    viewer_api: APIClient, django_assert_max_num_queries
) -> None:
    scan = judged_scan()
    accepted(scan, days=5)
    viewer_api.get(url_of(scan))
    with django_assert_max_num_queries(10):
        assert viewer_api.get(url_of(scan)).status_code == 200
