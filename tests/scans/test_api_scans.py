"""Lists and single scans over HTTP."""

from __future__ import annotations

import re
import time
import uuid

import pytest
from rest_framework.test import APIClient

from scans.choices import ScanStatus, Verdict
from scans.models import Scan
from sentrascan_project import paging
from tests.scans.api_samples import DIGEST, make_finding, make_run, make_scan, pointers

pytestmark = pytest.mark.django_db
URL = "/api/v1/scans"


def targets(answer) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [scan["target"] for scan in answer.json()]


def links(answer) -> dict[str, str]:
    found = re.findall(r'<([^>]+)>; rel="(\w+)"', answer.headers.get("Link", ""))
    return {rel: url for url, rel in found}


def test_an_empty_list_is_an_empty_array(viewer_api: APIClient) -> None:
    answer = viewer_api.get(URL)
    assert answer.content == b"[]"
    assert answer["X-Total-Count"] == "0"
    assert answer["X-Total-Count-Type"] == "exact"
    assert "Link" not in answer


def test_a_scan_has_every_field_of_the_contract(viewer_api: APIClient) -> None:
    scan = make_scan(digest=DIGEST, labels={"team": "a"}, reasons=["why"])
    found = viewer_api.get(URL).json()[0]
    names = (
        "scan_id created_at started_at finished_at scan_type target scan_status "
        "verdict passed reasons total_findings critical_count high_count medium_count "
        "low_count "
        "info_count new_findings duration_ms progress policy baseline_id digest labels "
        "requested_by attempt"
    )
    assert set(found) == set(names.split())
    assert found["scan_id"] == str(scan.pk)
    assert found["created_at"] == "2026-01-01T00:00:00Z"
    assert found["duration_ms"] == 2000
    assert found["passed"] is True
    assert found["policy"] == {"name": "default", "version": 1}
    assert found["progress"] == {"stage": "queued", "done": 0, "total": 0}
    assert found["labels"] == {"team": "a"}
    assert found["reasons"] == ["why"]
    assert found["digest"] == DIGEST


def test_a_scan_without_a_verdict_has_nulls(viewer_api: APIClient) -> None:
    make_scan(scan_status=ScanStatus.CANCELLED)
    found = viewer_api.get(URL).json()[0]
    nulls = ("verdict", "passed", "duration_ms", "digest", "baseline_id", "started_at")
    assert [found[name] for name in nulls] == [None] * len(nulls)


def test_the_newest_scan_comes_first(viewer_api: APIClient) -> None:
    for minutes in (1, 3, 2):
        make_scan(minutes=minutes, target=f"t{minutes}")
    assert targets(viewer_api.get(URL)) == ["t3", "t2", "t1"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("scan_type=mcp", ["mcp"]),
        ("scan_status=running", ["running"]),
        ("verdict=fail", ["bad"]),
        ("passed=true", ["mcp"]),
        ("passed=false", ["broken", "bad"]),
        ("target=bad", ["bad"]),
        ("q=ROKE", ["broken"]),
        ("severity=high", ["bad"]),
        ("severity=low", []),
        ("created_after=2026-01-01T00:02:00Z", ["broken", "mcp"]),
        ("created_before=2026-01-01T01:02:00%2B01:00", ["bad"]),
        ("created_before=2026-01-01T00:02:00", ["bad"]),
        ("created_before=2026-01-01", []),
        ("scan_type=model&verdict=fail&q=bad", ["bad"]),
    ],
)
def test_it_filters(viewer_api: APIClient, query: str, expected: list[str]) -> None:
    make_scan(minutes=1, target="bad", verdict=Verdict.FAIL, high_count=2)
    make_scan(minutes=2, target="running", scan_status=ScanStatus.RUNNING)
    make_scan(minutes=3, target="mcp", scan_type="mcp")
    make_scan(minutes=4, target="broken", scan_status=ScanStatus.FAILED)
    assert targets(viewer_api.get(f"{URL}?{query}")) == expected


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("colour=red", "colour"),
        ("format=json", "format"),
        ("scan_type=picture", "scan_type"),
        ("scan_status=", "scan_status"),
        ("verdict=PASS", "verdict"),
        ("passed=yes", "passed"),
        ("severity=High", "severity"),
        ("q=ab", "q"),
        ("q=a%00bc", "q"),
        ("q=" + "x" * 201, "q"),
        ("target=" + "x" * 501, "target"),
        ("created_after=yesterday", "created_after"),
        ("created_after=0001-01-01T00:00:00%2B14:00", "created_after"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=ten", "limit"),
        ("limit=%2B5", "limit"),
        ("limit=", "limit"),
        ("offset=10001", "offset"),
        ("offset=-1", "offset"),
        ("cursor=abc", "cursor"),
        ("cursor=", "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=" + "W1" * 300, "cursor"),
        ("verdict=pass&verdict=fail", "verdict"),
    ],
)
def test_a_bad_parameter_is_named(
    viewer_api: APIClient, query: str, parameter: str
) -> None:
    answer = viewer_api.get(f"{URL}?{query}")
    assert answer.status_code == 400
    assert pointers(answer) == {parameter}
    assert "parameter" in answer.json()["errors"][0]


def test_next_leads_through_all_pages_and_prev_back(viewer_api: APIClient) -> None:
    for number in range(7):
        # Several of one moment: the id decides among them.
        make_scan(minutes=number // 3, target=f"t{number}")
    everything = targets(viewer_api.get(URL))
    seen, page = [], viewer_api.get(f"{URL}?limit=3&scan_type=model")
    assert "prev" not in links(page)
    while True:
        assert page["X-Total-Count"] == "7"
        seen.append(targets(page))
        if "next" not in links(page):
            break
        assert "scan_type=model" in links(page)["next"]
        page = viewer_api.get(links(page)["next"])
    assert [target for part in seen for target in part] == everything
    assert [len(part) for part in seen] == [3, 3, 1]
    back = viewer_api.get(links(page)["prev"])
    assert targets(back) == seen[1]
    first = viewer_api.get(links(back)["prev"])
    assert targets(first) == seen[0]
    assert "prev" not in links(first)
    assert targets(viewer_api.get(links(first)["next"])) == seen[1]


def test_a_scan_that_arrives_meanwhile_moves_no_page(viewer_api: APIClient) -> None:
    for number in range(4):
        make_scan(minutes=number, target=f"t{number}")
    page = viewer_api.get(f"{URL}?limit=2")
    make_scan(minutes=9, target="new")
    assert targets(viewer_api.get(links(page)["next"])) == ["t1", "t0"]


def test_offset_works_and_its_next_is_a_cursor(viewer_api: APIClient) -> None:
    for number in range(5):
        make_scan(minutes=number, target=f"t{number}")
    page = viewer_api.get(f"{URL}?limit=2&offset=1")
    assert targets(page) == ["t3", "t2"]
    assert "offset" not in links(page)["next"]
    assert targets(viewer_api.get(links(page)["next"])) == ["t1", "t0"]
    assert targets(viewer_api.get(links(page)["prev"])) == ["t4"]
    assert targets(viewer_api.get(f"{URL}?offset=100")) == []
    both = viewer_api.get(links(page)["next"] + "&offset=1")
    assert both.status_code == 400


def test_the_cursor_of_another_list_is_refused(viewer_api: APIClient) -> None:
    scan = make_scan()
    for number in range(3):
        make_finding(scan, number)
    page = viewer_api.get(f"{URL}/{scan.pk}/findings?limit=1")
    cursor = re.search(r"cursor=([^&>]+)", page["Link"])[1]
    assert viewer_api.get(f"{URL}?cursor={cursor}").status_code == 400


def test_the_count_stops_at_ten_thousand(viewer_api: APIClient) -> None:
    Scan.objects.bulk_create(
        Scan(scan_type="model", target="t", policy_name="default")
        for _ in range(10_001)
    )
    page = viewer_api.get(f"{URL}?limit=1")
    assert page["X-Total-Count"] == "10000"
    assert page["X-Total-Count-Type"] == "at_least"
    page = viewer_api.get(f"{URL}?limit=1&q=ttt")
    assert page["X-Total-Count-Type"] == "exact"


def test_a_list_that_is_too_long_to_count_is_counted_once_a_minute(
    viewer_api: APIClient, django_assert_num_queries, monkeypatch
) -> None:
    monkeypatch.setattr(paging, "COUNTED", 3)
    for number in range(5):
        make_scan(minutes=number, target=f"long-{number % 5}")
    viewer_api.get(f"{URL}?limit=2")
    with django_assert_num_queries(2):  # key, page
        again = viewer_api.get(f"{URL}?limit=1&offset=1")
    assert again["X-Total-Count"] == "3"
    assert again["X-Total-Count-Type"] == "at_least"
    with django_assert_num_queries(3):  # another list: key, page, count
        other = viewer_api.get(f"{URL}?limit=1&offset=1&target=long-1")
    assert (other["X-Total-Count"], other["X-Total-Count-Type"]) == ("1", "exact")
    later = time.monotonic() + paging.REMEMBERED_SECONDS + 1
    monkeypatch.setattr(paging.time, "monotonic", lambda: later)
    Scan.objects.filter(target__in=["long-0", "long-1", "long-2"]).delete()
    page = viewer_api.get(f"{URL}?limit=1")
    assert (page["X-Total-Count"], page["X-Total-Count-Type"]) == ("2", "exact")


def test_a_list_costs_three_queries(
    viewer_api: APIClient, django_assert_num_queries
) -> None:
    for number in range(6):
        make_run(make_scan(minutes=number, labels={"a": "b"}))
    viewer_api.get(URL)  # notes the key as used, once a minute
    with django_assert_num_queries(2):  # key, page: a whole list needs no count
        viewer_api.get(URL)
    with django_assert_num_queries(3):  # key, page, capped count
        viewer_api.get(f"{URL}?limit=5")


def test_one_scan_has_its_runs_and_reasons(viewer_api: APIClient) -> None:
    scan = make_scan(reasons=["because"])
    coverage = {"complete": True, "files_total": 1, "files_scanned": 1}
    make_run(scan, coverage=coverage, sandbox="landlock", tool_version="1.2")
    make_run(scan, "sentrascan-files", status="timed_out", error="took too long")
    found = viewer_api.get(f"{URL}/{scan.pk}").json()
    assert found["reasons"] == ["because"]
    assert [run["scanner"] for run in found["runs"]] == [
        "modelaudit",
        "sentrascan-files",
    ]
    names = (
        "scanner tool_version status sandbox reused_from duration_ms findings_count "
        "coverage error"
    )
    for run in found["runs"]:
        assert set(run) == set(names.split())
        parts = "complete files_total files_scanned files_inert bytes_scanned skipped"
        assert set(run["coverage"]) == {*parts.split(), "notes"}
    assert found["runs"][0]["error"] is None
    assert found["runs"][1]["error"] == "took too long"


def test_one_scan_costs_three_queries(
    viewer_api: APIClient, django_assert_num_queries
) -> None:
    scan = make_scan()
    viewer_api.get(URL)
    with django_assert_num_queries(3):
        viewer_api.get(f"{URL}/{scan.pk}")


@pytest.mark.parametrize("path", ["", "/findings", "/events"])
def test_an_unknown_scan_is_404(viewer_api: APIClient, path: str) -> None:
    answer = viewer_api.get(f"{URL}/{uuid.uuid4()}{path}")
    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


def test_a_finished_scan_has_an_etag_and_304(viewer_api: APIClient) -> None:
    scan = make_scan()
    url = f"{URL}/{scan.pk}"
    etag = viewer_api.get(url)["ETag"]
    assert re.fullmatch(r'"[0-9a-f]{40}"', etag)
    for known in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        again = viewer_api.get(url, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again["ETag"] == etag
    assert viewer_api.get(url, headers={"If-None-Match": '"x"'}).status_code == 200
    make_run(scan)
    assert viewer_api.get(url)["ETag"] != etag


def test_an_unfinished_scan_has_no_etag(viewer_api: APIClient) -> None:
    scan = make_scan(scan_status=ScanStatus.QUEUED)
    answer = viewer_api.get(f"{URL}/{scan.pk}", headers={"If-None-Match": "*"})
    assert answer.status_code == 200
    assert "ETag" not in answer


@pytest.mark.parametrize("path", ["", "/findings", "/events"])
def test_head_answers_on_every_get(viewer_api: APIClient, path: str) -> None:
    scan = make_scan(scan_status=ScanStatus.QUEUED)
    answer = viewer_api.head(f"{URL}/{scan.pk}{path}")
    assert (answer.status_code, answer.content) == (200, b"")
    assert viewer_api.head(URL).status_code == 200


def test_cancel_answers_202_and_then_409(scanner_api: APIClient) -> None:
    scan = make_scan(scan_status=ScanStatus.QUEUED)
    answer = scanner_api.post(f"{URL}/{scan.pk}/cancel")
    assert answer.status_code == 202
    assert answer.json()["scan_status"] == "cancelled"
    assert answer["Location"] == f"{URL}/{scan.pk}"
    again = scanner_api.post(f"{URL}/{scan.pk}/cancel")
    assert again.status_code == 409
    assert scanner_api.post(f"{URL}/{uuid.uuid4()}/cancel").status_code == 404
    unknown = scanner_api.post(f"{URL}/{scan.pk}/cancel", {"why": "x"}, format="json")
    assert (unknown.status_code, pointers(unknown)) == (400, {"/why"})


def test_rescan_of_what_is_gone_is_410(scanner_api: APIClient) -> None:
    answer = scanner_api.post(f"{URL}/{make_scan().pk}/rescan")
    assert answer.status_code == 410
    body = {"fresh": "yes"}
    wrong = scanner_api.post(f"{URL}/{make_scan().pk}/rescan", body, format="json")
    assert pointers(wrong) == {"/fresh"}


def test_delete_removes_a_scan_in_any_state(api: APIClient) -> None:
    for status in (ScanStatus.RUNNING, ScanStatus.COMPLETED):
        scan = make_scan(scan_status=status)
        make_finding(scan)
        answer = api.delete(f"{URL}/{scan.pk}")
        assert (answer.status_code, answer.content) == (204, b"")
        assert not Scan.objects.filter(pk=scan.pk).exists()
        assert api.delete(f"{URL}/{scan.pk}").status_code == 404


def test_each_role_may_what_the_contract_says(
    viewer_api: APIClient, scanner_api: APIClient, anonymous_api: APIClient
) -> None:
    scan = make_scan(scan_status=ScanStatus.QUEUED)
    one = f"{URL}/{scan.pk}"
    assert viewer_api.post(URL, {}, format="json").status_code == 403
    assert viewer_api.post(f"{one}/cancel").status_code == 403
    assert viewer_api.post(f"{one}/rescan").status_code == 403
    assert scanner_api.get(one).status_code == 200
    assert scanner_api.delete(one).status_code == 403
    assert scanner_api.post("/api/v1/baselines", {}, format="json").status_code == 403
    for path in (URL, one, f"{one}/findings", f"{one}/events", "/api/v1/scanners"):
        answer = anonymous_api.get(path)
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"].startswith("Bearer")
