"""Targets over HTTP: the list, one of them, its history and its findings."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from scanners.contract import Severity
from scans.api.queries import TargetQuery
from scans.exports.target_shapes import TARGETS
from scans.models import Baseline, Scan, ScanDetail, Target
from tests.scans.api_samples import BEGIN, make_finding, make_scan, pointers, remember

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]
URL = "/api/v1/targets"


def make_target(name: str = "it", minutes: int = 0, **more: Any) -> Target:
    at = BEGIN + timedelta(minutes=minutes)
    values = {"scan_type": "model", "last_scan_at": at} | more
    return Target.objects.create(name=name, **values)


def scan_of(target: Target, minutes: int = 0, **more: Any) -> Scan:
    moved = {n: more.pop(n) for n in ("resolved_findings",) if n in more}
    names = {"target": target.name, "target_record": target}
    scan = make_scan(minutes=minutes, **names, **more)
    ScanDetail.objects.filter(pk=scan.pk).update(**moved)
    if scan.scan_status == "completed":
        at = {"last_scan_at": scan.created_at, "last_scan_id": scan.pk}
        Target.objects.filter(pk=target.pk).update(**at)
    return scan


def names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [row["name"] for row in answer.json()]


@pytest.mark.parametrize("verdict", ["pass", "fail", "inconclusive"])
def test_a_verdict_that_is_asked_for_is_that_of_the_newest_judged_scan(
    viewer_api: APIClient, verdict: str
) -> None:
    for name, newest in (("a", "pass"), ("b", "fail"), ("c", "inconclusive")):
        target = make_target(name)
        for minutes, old in enumerate(("fail", "inconclusive", "pass")):
            scan_of(target, minutes, verdict=old)
        scan_of(target, 5, verdict=newest)
        scan_of(target, 6, scan_status="cancelled")
        scan_of(target, 7, scan_status="running", lease_owner="w", attempt=1)
    make_target("never")
    rows = viewer_api.get(f"{URL}?verdict={verdict}").json()
    assert [row["newest_scan"]["verdict"] for row in rows] == [verdict]
    # An operator deletes scans by hand: the one before is the newest then.
    Scan.objects.filter(created_at=BEGIN + timedelta(minutes=5)).delete()
    found = names(viewer_api.get(f"{URL}?verdict={verdict}"))
    assert sorted(found) == (["a", "b", "c"] if verdict == "pass" else [])


def test_a_rare_verdict_is_looked_for_in_an_index_alone() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite tells its plan otherwise")
    rows = TargetQuery.filter(TARGETS, {"verdict": "fail"})
    with connection.cursor() as cursor:
        # So few rows would rather be read whole.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
    plan = rows[:51].explain().splitlines()
    looked_at = [line for line in plan if "Index Only" in line]
    assert any("using scans_scan_target on scans" in line for line in looked_at)
    assert not [line for line in plan if "Sort Key" in line and "scan_id" in line]


def test_the_list_shows_each_target_with_its_newest_judged_scan(
    viewer_api: APIClient,
) -> None:
    old, new = make_target("old", 1), make_target("new", 2)
    untouched = make_target("untouched")
    scan_of(new, 3, verdict="pass")
    judged = scan_of(new, 5, scan_status="failed")
    scan_of(new, 9, scan_status="queued")
    scan_of(new, 9, scan_status="cancelled")
    scan_of(old, 7, verdict="fail", total_findings=4, resolved_findings=2)
    rows = viewer_api.get(URL).json()
    assert [row["name"] for row in rows] == ["old", "new", "untouched"]
    assert rows[0]["newest_scan"]["resolved_findings"] == 2
    assert rows[0]["newest_scan"]["total_findings"] == 4
    assert rows[1]["newest_scan"]["scan_id"] == str(judged.pk)
    assert rows[1]["newest_scan"]["verdict"] == "inconclusive"
    assert rows[2] == {
        "target_id": str(untouched.pk),
        "scan_type": "model",
        "name": "untouched",
        "created_at": rows[2]["created_at"],
        "last_completed_at": None,
        "baseline_id": None,
        "newest_scan": None,
    }


def test_the_list_is_filtered(api: APIClient) -> None:
    make_target("models/a.pkl", 1)
    other = make_target("server", 2, scan_type="mcp")
    scan_of(other, 3, verdict="fail")
    scan_of(other, 4, verdict="pass")
    Baseline.objects.create(name="b", scan_type="mcp", target="server", status="active")
    Baseline.objects.create(
        name="b", scan_type="model", target="server", status="active"
    )
    assert names(api.get(f"{URL}?q=A.PK")) == ["models/a.pkl"]
    assert names(api.get(f"{URL}?name=server")) == ["server"]
    assert names(api.get(f"{URL}?scan_type=model")) == ["models/a.pkl"]
    assert names(api.get(f"{URL}?verdict=pass")) == ["server"]
    assert names(api.get(f"{URL}?verdict=fail")) == []
    assert names(api.get(f"{URL}?has_baseline=true")) == ["server"]
    assert names(api.get(f"{URL}?has_baseline=false")) == ["models/a.pkl"]
    for wrong in ("q=ab", "verdict=good", "scan_type=x", "state=open", "limit=0"):
        assert pointers(api.get(f"{URL}?{wrong}")) == {wrong.partition("=")[0]}


def test_its_pages_go_on_where_they_ended(api: APIClient) -> None:
    for number in range(5):
        make_target(f"t{number}", number)
    first = api.get(f"{URL}?limit=2")
    assert (names(first), first["X-Total-Count"]) == (["t4", "t3"], "5")
    link = first["Link"].partition(">")[0].lstrip("<")
    assert names(api.get(link)) == ["t2", "t1"]


def test_one_target_tells_its_baseline_and_what_is_open(viewer_api: APIClient) -> None:
    target = make_target()
    baseline = Baseline.objects.create(
        name="release", scan_type="model", target="it", status="active"
    )
    scan = scan_of(target, 3)
    later = BEGIN + timedelta(days=1)
    remember(target, 1, first_scan_id=scan.pk)
    remember(target, 2, severity=Severity.LOW, times_reopened=2, reopened_at=later)
    remember(target, 3, last_seen_at=later, last_scan_id=scan.pk)
    remember(target, 4, resolved_at=later, resolved_scan_id=scan.pk)
    found = viewer_api.get(f"{URL}/{target.pk}").json()
    assert found["baseline_id"] == found["baseline"]["baseline_id"] == str(baseline.pk)
    assert found["baseline"]["name"] == "release"
    assert found["newest_scan"]["scan_id"] == str(scan.pk)
    assert found["last_completed_at"] == found["newest_scan"]["created_at"]
    assert found["findings"] == {
        "open": 3,
        "new": 1,
        "reopened": 1,
        "unconfirmed": 1,
        "resolved": 1,
        "open_by_severity": {
            "critical": 2,
            "high": 0,
            "medium": 0,
            "low": 1,
            "info": 0,
        },
    }


def test_the_history_is_of_judged_scans_newest_first(viewer_api: APIClient) -> None:
    target = make_target()
    scan_of(make_target("other"), 9)
    scan_of(target, 8, scan_status="running")
    scan_of(target, 7, scan_status="cancelled")
    scan_of(target, 1, verdict="fail", new_findings=3)
    scan_of(target, 2, verdict="pass", resolved_findings=3)
    scan_of(target, 3, scan_status="failed")
    url = f"{URL}/{target.pk}/history"
    rows = viewer_api.get(url).json()
    verdicts = [row["verdict"] for row in rows]
    assert verdicts == ["inconclusive", "pass", "fail"]
    assert (rows[1]["resolved_findings"], rows[2]["new_findings"]) == (3, 3)
    (only,) = viewer_api.get(f"{url}?verdict=pass").json()
    assert only == rows[1]
    asked = f"{url}?created_after={rows[1]['created_at']}"
    assert viewer_api.get(asked).json() == rows[:1]


def test_findings_are_told_with_their_times_and_filtered(
    viewer_api: APIClient, django_assert_num_queries: Any
) -> None:
    target = make_target()
    scan = scan_of(target, 30)
    later = BEGIN + timedelta(days=1)
    new = remember(target, 1, first_scan_id=scan.pk, severity=Severity.LOW)
    back = remember(target, 2, times_reopened=1, reopened_at=later, title="Came back")
    over = remember(target, 3, resolved_at=later, scanner="sentrascan-files")
    dark = remember(target, 4, last_seen_at=later, last_scan_id=scan.pk, rule="x:Y1")
    remember(make_target("other"), 5)
    url = f"{URL}/{target.pk}/findings"

    def found(query: str = "") -> list[str]:
        answer = viewer_api.get(f"{url}?{query}")
        assert answer.status_code == 200, answer.content
        return [row["fingerprint"] for row in answer.json()]

    prints = [row.fingerprint for row in (back, over, dark, new)]
    assert found() == prints  # worst first
    assert found("state=open") == [prints[0], prints[2], prints[3]]
    assert found("state=new") == [new.fingerprint]
    assert found("state=reopened") == [back.fingerprint]
    assert found("state=resolved") == [over.fingerprint]
    assert found("severity=low") == [new.fingerprint]
    assert found("scanner=sentrascan-files") == [over.fingerprint]
    assert found("q=came") == [back.fingerprint]
    assert found("rule=x:Y1") == [dark.fingerprint]
    assert found(f"fingerprint={dark.fingerprint}") == [dark.fingerprint]
    assert found("resolved_after=2026-01-01T12:00:00Z") == [over.fingerprint]
    assert found("first_seen_after=2026-01-01T00:03:00Z") == [dark.fingerprint]
    assert pointers(viewer_api.get(f"{url}?state=gone")) == {"state"}
    rows = {row["fingerprint"]: row for row in viewer_api.get(url).json()}
    one = rows[new.fingerprint]
    assert (one["state"], one["is_new"], one["is_confirmed"]) == ("open", True, True)
    assert (one["last_scan_id"], one["waived"]) == (str(scan.pk), False)
    assert one["last_seen_at"] == "2026-01-01T00:30:00Z"
    assert rows[dark.fingerprint]["is_confirmed"] is False
    assert rows[dark.fingerprint]["last_seen_at"] == "2026-01-02T00:00:00Z"
    assert rows[over.fingerprint]["state"] == "resolved"


def test_a_waiver_of_the_target_is_told(api: APIClient) -> None:
    target = make_target()
    scan_of(target)
    remember(target, 1)
    remember(target, 2)
    body = {"reason": "r", "expires_at": "2999-01-01T00:00:00Z"}
    for number, of in ((1, "it"), (2, "other")):
        risk = body | {"fingerprint": f"v1:{number:064x}", "target": of}
        assert api.post("/api/v1/waivers", risk, format="json").status_code == 201
    rows = api.get(f"{URL}/{target.pk}/findings").json()
    assert {row["fingerprint"][-1]: row["waived"] for row in rows} == {
        "1": True,
        "2": False,
    }


@pytest.mark.parametrize("part", ["", "/history", "/findings"])
def test_an_unknown_target_is_404_and_an_empty_one_is_not(
    api: APIClient, part: str
) -> None:
    assert api.get(f"{URL}/{uuid.uuid4()}{part}").status_code == 404
    answer = api.get(f"{URL}/{make_target().pk}{part}")
    assert answer.status_code == 200
    if part:
        assert answer.json() == []


def test_a_finding_of_a_scan_is_no_finding_of_the_target(api: APIClient) -> None:
    """What was never recorded (an overtaken scan) is not made up when it is read."""
    target = make_target()
    make_finding(scan_of(target), 1)
    assert api.get(f"{URL}/{target.pk}/findings").json() == []
