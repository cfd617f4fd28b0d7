"""Waivers over HTTP."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from scans.choices import Verdict
from scans.models import ScanWaiver, Waiver
from tests.scans.api_samples import DIGEST, make_finding, make_scan, pointers

pytestmark = pytest.mark.django_db
URL = "/api/v1/waivers"
VERDICT = f"/api/v1/verdicts/sha256:{DIGEST}"
PRINT = f"v1:{1:064x}"
LATER = "2999-01-01T00:00:00Z"


def body(**more: Any) -> dict[str, Any]:
    wanted = {"fingerprint": PRINT, "reason": "known and harmless", "expires_at": LATER}
    return wanted | more


def waive(api: APIClient, **more: Any) -> Any:
    answer = api.post(URL, body(**more), format="json")
    assert answer.status_code == 201, answer.content
    return answer


def test_a_waiver_is_made_looked_at_and_deleted(
    api: APIClient, viewer_api: APIClient
) -> None:
    answer = waive(api, target="m", expires_at="2999-01-01T02:00:00+02:00")
    found = answer.json()
    assert found == {
        "waiver_id": found["waiver_id"],
        "fingerprint": PRINT,
        "target": "m",
        "reason": "known and harmless",
        "expires_at": LATER,
        "created_at": found["created_at"],
        "created_by": "test-admin",
        "is_expired": False,
    }
    one = answer["Location"]
    assert one == f"{URL}/{found['waiver_id']}"
    assert viewer_api.get(one).json() == found
    assert viewer_api.get(URL).json() == [found]
    assert viewer_api.post(URL, body(), format="json").status_code == 403
    assert viewer_api.delete(one).status_code == 403
    assert api.delete(one).status_code == 204
    assert api.delete(one).status_code == 404
    assert api.get(one).status_code == 404
    assert api.delete(f"{URL}/{uuid.uuid4()}").status_code == 404
    waive(api, target=None)
    assert api.get(URL).json()[0]["target"] is None


def test_a_scanner_key_may_not_accept_a_risk(scanner_api: APIClient) -> None:
    assert scanner_api.post(URL, body(), format="json").status_code == 403


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"fingerprint": "v1:abc"}, "/fingerprint"),
        ({"fingerprint": 5}, "/fingerprint"),
        ({"fingerprint": None}, "/fingerprint"),
        ({"target": ""}, "/target"),
        ({"target": 5}, "/target"),
        ({"target": "a\x00b"}, "/target"),
        ({"reason": "  "}, "/reason"),
        ({"reason": "x" * 2001}, "/reason"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "2999-01-01T00:00:00"}, "/expires_at"),
        ({"expires_at": "2999-01-01"}, "/expires_at"),
        ({"expires_at": "soon"}, "/expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, "/expires_at"),
        ({"expires_at": 32503680000}, "/expires_at"),
        ({"expires_at": None}, "/expires_at"),
        ({"until": LATER}, "/until"),
        ({"created_by": "somebody else"}, "/created_by"),
    ],
)
def test_a_bad_field_is_named(api: APIClient, wrong: Any, named: str) -> None:
    answer = api.post(URL, body(**wrong), format="json")
    assert (answer.status_code, pointers(answer)) == (400, {named})
    assert not Waiver.objects.exists()


@pytest.mark.parametrize("missing", ["fingerprint", "reason", "expires_at"])
def test_a_missing_field_is_named(api: APIClient, missing: str) -> None:
    wanted = body()
    del wanted[missing]
    answer = api.post(URL, wanted, format="json")
    assert (answer.status_code, pointers(answer)) == (400, {f"/{missing}"})


def test_the_list_filters(api: APIClient) -> None:
    scan = make_scan(target="m")
    make_finding(scan, 1)
    here = waive(api, target="m").json()["waiver_id"]
    waive(api, fingerprint=f"v1:{2:064x}")
    old = Waiver.objects.create(
        fingerprint=PRINT, reason="r", expires_at=timezone.now() - timedelta(days=1)
    )

    def found(query: str) -> list[str]:
        return [row["waiver_id"] for row in api.get(f"{URL}?{query}").json()]

    everything = found("")
    assert len(everything) == 3
    assert found("target=m") == [here]
    assert found(f"fingerprint={PRINT}") == [str(old.pk), here]
    assert found("expired=true") == [str(old.pk)]
    assert len(found("expired=false")) == 2
    assert found("stale=true") == [everything[1]]
    assert found("stale=false&expired=false") == [here]
    for wrong in ("expired=1", "stale=yes", "q=abc", "waived=true"):
        name = wrong.partition("=")[0]
        assert pointers(api.get(f"{URL}?{wrong}")) == {name}
    assert api.get(URL).json()[0]["is_expired"] is True


def test_findings_say_whether_they_are_waived_now(api: APIClient) -> None:
    ours, other = make_scan(target="m"), make_scan(target="n")
    first = make_finding(ours, 1)
    make_finding(ours, 2)
    make_finding(other, 1)
    waiver = waive(api, target="m")
    waiver_id = waiver.json()["waiver_id"]
    found = api.get(f"/api/v1/findings/{first.pk}").json()
    assert (found["waived"], found["waiver_id"]) == (True, waiver_id)
    for url in ("/api/v1/findings", f"/api/v1/scans/{ours.pk}/findings"):
        rows = api.get(f"{url}?waived=true").json()
        assert [row["finding_id"] for row in rows] == [str(first.pk)]
        unwaived = api.get(f"{url}?waived=false").json()
        assert len(unwaived) == len(api.get(url).json()) - 1
        assert {row["waived"] for row in unwaived} == {False}
        assert api.get(f"{url}?waived=true")["X-Total-Count"] == "1"
    Waiver.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert api.get("/api/v1/findings?waived=true").json() == []
    Waiver.objects.update(expires_at=LATER)
    assert len(api.get("/api/v1/findings?waived=true").json()) == 1
    api.delete(waiver["Location"])
    found = api.get(f"/api/v1/findings/{first.pk}").json()
    assert (found["waived"], found["waiver_id"]) == (False, None)


def accepted(scan: Any, waiver: Any, target: str = "") -> ScanWaiver:
    """Write what the pipeline writes when a waiver covers a finding."""
    make_finding(scan, 1)
    return ScanWaiver.objects.create(
        scan=scan,
        waiver_id=waiver.json()["waiver_id"],
        fingerprint=PRINT,
        target=target,
        reason="r",
        expires_at=LATER,
    )


def test_a_verdict_on_bytes_ends_with_the_waiver_it_rests_on(
    api: APIClient, viewer_api: APIClient
) -> None:
    waiver = waive(api)
    accepted(make_scan(digest=DIGEST), waiver)
    answer = viewer_api.get(VERDICT)
    assert (answer.json()["verdict"], answer.json()["is_current"]) == ("pass", True)
    waive(api)  # the same risk, accepted by somebody else too
    api.delete(waiver["Location"])
    tags = {"If-None-Match": answer["ETag"]}
    assert viewer_api.get(VERDICT, headers=tags).status_code == 304
    Waiver.objects.update(expires_at=timezone.now())
    found = viewer_api.get(VERDICT, headers=tags).json()
    assert (found["verdict"], found["passed"]) == ("inconclusive", False)
    assert found["is_current"] is False
    assert found["reasons"] == [
        "Waivers have changed since this scan: scan these bytes again"
    ]


def test_a_waiver_of_one_target_says_nothing_of_the_bytes(
    api: APIClient, viewer_api: APIClient
) -> None:
    scan = make_scan(digest=DIGEST, target="m")
    scan.detail.of_bytes = {"verdict": "fail", "reasons": ["evil"]}
    scan.detail.save()
    accepted(scan, waive(api, target="m"), "m")
    found = viewer_api.get(VERDICT).json()
    assert (found["verdict"], found["passed"]) == ("fail", False)
    assert (found["reasons"], found["is_current"]) == (["evil"], True)
    Waiver.objects.all().delete()
    assert viewer_api.get(VERDICT).json() == found


def test_a_new_waiver_for_all_makes_a_fail_old_and_leaves_a_pass_alone(
    api: APIClient, viewer_api: APIClient
) -> None:
    make_finding(make_scan(minutes=1, digest=DIGEST, verdict=Verdict.FAIL), 1)
    assert viewer_api.get(VERDICT).json()["is_current"] is True
    waive(api, fingerprint=f"v1:{9:064x}")
    waive(api, target="model.pkl")
    assert viewer_api.get(VERDICT).json()["is_current"] is True
    waive(api)
    found = viewer_api.get(VERDICT).json()
    assert (found["verdict"], found["is_current"]) == ("fail", False)
    assert found["reasons"][0].startswith("Waivers have changed")
    make_finding(make_scan(minutes=2, digest=DIGEST), 1)
    found = viewer_api.get(VERDICT).json()
    assert (found["verdict"], found["is_current"]) == ("pass", True)
