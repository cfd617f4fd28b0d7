"""The latest verdict on some bytes."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from scans.choices import ScanStatus, Verdict
from scans.models import Baseline, Policy
from tests.scans.api_samples import DIGEST, make_run, make_scan

pytestmark = pytest.mark.django_db
URL = f"/api/v1/verdicts/sha256:{DIGEST}"


def test_it_answers_the_latest_verdict(viewer_api: APIClient) -> None:
    make_scan(minutes=1, digest=DIGEST)
    bad = make_scan(minutes=2, digest=DIGEST, verdict=Verdict.FAIL, reasons=["evil"])
    make_scan(minutes=3, digest="cd" * 32)
    answer = viewer_api.get(URL)
    found = answer.json()
    assert found["verdict"] == "fail"
    assert found["passed"] is False
    assert found["scan_id"] == str(bad.pk)
    assert found["digest"] == f"sha256:{DIGEST}"
    assert found["reasons"] == ["evil"]
    assert "target" not in found
    etag = answer["ETag"]
    assert viewer_api.get(URL, headers={"If-None-Match": etag}).status_code == 304
    make_scan(minutes=4, digest=DIGEST)
    assert viewer_api.get(URL, headers={"If-None-Match": etag}).status_code == 200
    assert viewer_api.get(URL.replace("ab", "AB")).json()["verdict"] == "pass"


def test_bytes_that_were_never_scanned_are_404(viewer_api: APIClient) -> None:
    assert viewer_api.get(URL).status_code == 404
    make_scan(digest=DIGEST, scan_status=ScanStatus.CANCELLED)
    make_scan(digest=DIGEST, scan_status=ScanStatus.FAILED)
    assert viewer_api.get(URL).status_code == 404


def test_a_scan_with_a_scanner_left_out_says_nothing(viewer_api: APIClient) -> None:
    make_run(make_scan(minutes=1, digest=DIGEST))
    part = make_scan(minutes=2, digest=DIGEST, verdict=Verdict.FAIL, is_of_bytes=False)
    make_run(part)
    make_run(part, "sentrascan-files", status="skipped")
    assert viewer_api.get(URL).json()["verdict"] == "pass"


def test_a_verdict_is_of_one_policy(viewer_api: APIClient) -> None:
    make_scan(digest=DIGEST, policy_name="strict", verdict=Verdict.FAIL)
    assert viewer_api.get(URL).status_code == 404
    assert viewer_api.get(f"{URL}?policy=strict").json()["verdict"] == "fail"
    assert viewer_api.get(f"{URL}?limit=1").status_code == 400


def test_a_baseline_of_one_target_says_nothing_of_the_bytes(
    viewer_api: APIClient,
) -> None:
    document = {"only_new": True}
    policy = Policy.objects.create(name="new", document=document)
    named = {"digest": DIGEST, "policy_name": "new", "policy": policy}
    first = make_scan(minutes=1, verdict=Verdict.FAIL, **named)
    baseline = Baseline.objects.create(scan=first, scan_type="model", target="t")
    make_scan(minutes=2, baseline=baseline, is_of_bytes=False, **named)
    assert viewer_api.get(f"{URL}?policy=new").json()["verdict"] == "fail"


@pytest.mark.parametrize("digest", ["abc", "g" * 64, "ab" * 33])
def test_what_is_no_digest_is_400(viewer_api: APIClient, digest: str) -> None:
    answer = viewer_api.get(f"/api/v1/verdicts/sha256:{digest}")
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
