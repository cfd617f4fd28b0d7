"""The latest verdict on some bytes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from scans import rulesets
from scans.choices import ScanStatus, Verdict
from scans.models import Baseline, Policy, Scan, Worker
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


def test_a_verdict_by_other_rules_is_no_pass(viewer_api: APIClient) -> None:
    make_scan(digest=DIGEST, rules="")
    found = viewer_api.get(URL).json()
    assert (found["verdict"], found["passed"]) == ("inconclusive", False)
    assert found["is_current"] is False
    assert found["reasons"][0].startswith("The rules have changed since this scan")
    make_scan(minutes=1, digest=DIGEST)
    found = viewer_api.get(URL).json()
    assert (found["verdict"], found["is_current"]) == ("pass", True)
    make_scan(minutes=2, digest=DIGEST, rules="cd" * 32, verdict=Verdict.FAIL)
    found = viewer_api.get(URL).json()
    assert (found["verdict"], found["is_current"]) == ("fail", False)


def test_every_live_worker_must_have_the_rules_of_the_verdict(
    viewer_api: APIClient,
) -> None:
    make_scan(digest=DIGEST)
    here = Worker.objects.create(name="a", rules=rulesets.known_here())
    assert viewer_api.get(URL).json()["is_current"] is True
    other = Worker.objects.create(name="b", rules="cd" * 32)
    assert viewer_api.get(URL).json()["is_current"] is False
    past = timezone.now() - timedelta(minutes=5)
    Worker.objects.filter(pk=other.pk).update(seen_at=past)
    assert viewer_api.get(URL).json()["is_current"] is True
    Worker.objects.filter(pk=here.pk).update(rules="")
    assert viewer_api.get(URL).json()["is_current"] is False


def test_a_server_without_the_tools_believes_its_workers(
    viewer_api: APIClient, settings: Any, tmp_path: Path
) -> None:
    make_scan(digest=DIGEST)
    settings.SCANNERS_DIR = tmp_path
    assert viewer_api.get(URL).json()["is_current"] is False
    rules = Scan.objects.get().rules
    Worker.objects.create(name="a", rules=rules)
    assert viewer_api.get(URL).json()["is_current"] is True


def test_a_new_version_of_the_policy_makes_a_pass_inconclusive(
    viewer_api: APIClient,
) -> None:
    make_scan(digest=DIGEST)
    etag = viewer_api.get(URL)["ETag"]
    Policy.objects.create(name="other", version=7)
    assert viewer_api.get(URL)["ETag"] == etag
    Policy.objects.create(name="default", version=2)
    answer = viewer_api.get(URL, headers={"If-None-Match": etag})
    assert answer.status_code == 200
    assert answer.json()["verdict"] == "inconclusive"
    assert answer.json()["policy"] == {"name": "default", "version": 1}
    assert "The policy default has changed" in answer.json()["reasons"][0]


def test_a_verdict_is_one_statement_beside_the_key(
    viewer_api: APIClient, django_assert_max_num_queries: Any
) -> None:
    for minutes in range(5):
        make_run(make_scan(minutes=minutes, digest=DIGEST))
    viewer_api.get(URL)
    with django_assert_max_num_queries(2):
        viewer_api.get(URL)


@pytest.mark.parametrize("digest", ["abc", "g" * 64, "ab" * 33])
def test_what_is_no_digest_is_400(viewer_api: APIClient, digest: str) -> None:
    answer = viewer_api.get(f"/api/v1/verdicts/sha256:{digest}")
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
