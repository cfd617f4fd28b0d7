"""SQL that is built once answers as SQL that is built each time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.test import APIClient

from scans.api.queries import ScanQuery
from scans.exports.shapes import SCAN_COLUMNS, scan_shape, scan_shape_of
from scans.models import Prepared, Remembered, Scan
from scans.models.prepared import MAX_REMEMBERED, Statement
from tests.scans.api_samples import make_scan

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]
HARD_TEXTS = ["", "%s", "a'b", 'a"b', "a\\b", "é\u202e", "%(x)s", "{}", "$1"]


def scans_of(target: str, since: datetime) -> QuerySet[Scan, dict[str, Any]]:
    rows = Scan.objects.filter(target=target, created_at__gte=since)
    return rows.order_by("-created_at", "-scan_id").values(*SCAN_COLUMNS)


@pytest.mark.parametrize("text", HARD_TEXTS)
def test_it_answers_as_the_query_that_it_was_built_of(text: str) -> None:
    prepared = Prepared(scans_of)
    for target in (text, "other"):
        make_scan(target=target)
        make_scan(target=target)
    for since in (timezone.now() - timedelta(hours=1), timezone.now()):
        for target in (text, "other"):
            expected = list(scans_of(target, since))
            assert prepared.rows(target=target, since=since) == expected
    assert len(prepared.rows(target=text, since=datetime(2026, 1, 1, tzinfo=UTC))) == 2


def test_times_are_read_in_utc_whatever_reads_them() -> None:
    scan = make_scan(target="a")
    (row,) = Prepared(scans_of).rows(target="a", since=scan.created_at)
    assert row["created_at"] == scan.created_at
    assert row["created_at"].isoformat() == scan.created_at.isoformat()
    written = orjson.dumps(row["created_at"], option=orjson.OPT_UTC_Z)
    assert written == orjson.dumps(scan.created_at, option=orjson.OPT_UTC_Z)
    assert written.endswith(b'Z"')


def test_a_value_that_the_sql_does_not_hold_is_told() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite prepares nothing")
    prepared = Prepared(lambda target, kind: scans_of(target, timezone.now()))
    with pytest.raises(TypeError, match="not found again in the SQL: kind"):
        prepared.rows(target="a", kind="model")


def test_rows_whose_columns_have_no_names_are_told() -> None:
    with pytest.raises(TypeError, match="name all of its columns"):
        Statement.of(Scan.objects.all())


def test_plain_rows_have_the_values_of_dicts() -> None:
    make_scan(target="a", labels={"b": "c"})
    since = datetime(2026, 1, 1, tzinfo=UTC)
    rows = scans_of("a", since)
    [row] = Remembered().rows("any", rows.values_list(*SCAN_COLUMNS))
    assert dict(zip(SCAN_COLUMNS, row, strict=True)) == rows.get()
    assert scan_shape_of(row) == scan_shape(rows.get())


def test_a_list_that_is_read_twice_under_one_name_is_read_anew() -> None:
    kept, rows = Remembered(), scans_of("a", datetime(2026, 1, 1, tzinfo=UTC))
    assert kept.rows("any", rows) == []
    make_scan(target="a")
    assert len(kept.rows("any", rows)) == 1


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "limit=1",
        "target=a%26b+%C3%A4%2B+x&limit=1",
        "limit=1&q=%C3%A4%2B+x&offset=0",
    ],
)
def test_the_address_of_the_next_page_is_that_of_this_one_with_a_cursor(
    api: APIClient, asked: str
) -> None:
    for _ in range(60):
        make_scan(target="a&b ä+ x")
    link = api.get(f"/api/v1/scans?{asked}")["Link"]
    address = urlsplit(link.partition("<")[2].partition(">")[0])
    assert (address.scheme, address.netloc) == ("http", "testserver")
    assert address.path == "/api/v1/scans"
    wanted = dict(parse_qsl(asked)) | {
        "cursor": dict(parse_qsl(address.query))["cursor"]
    }
    wanted.pop("offset", None)
    assert dict(parse_qsl(address.query)) == wanted
    assert api.get(address.geturl()).json()


def test_it_remembers_so_many_statements() -> None:
    kept = Remembered()
    make_scan(target="a")
    since = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(MAX_REMEMBERED + 3):
        target = "a" if number % 2 else "b"
        found = kept.rows(number, scans_of(target, since))
        assert [row["target"] for row in found] == ["a"] * (number % 2)
    assert len(kept._statements) <= MAX_REMEMBERED


def test_a_list_asked_for_again_shows_what_has_come_since(api: APIClient) -> None:
    path = "/api/v1/scans?target=again&limit=5"
    assert api.get(path).json() == []
    scan = make_scan(target="again")
    make_scan(target="other")
    assert [row["scan_id"] for row in api.get(path).json()] == [str(scan.pk)]
    assert api.get("/api/v1/scans?target=agai&limit=5").json() == []
    assert len(api.get("/api/v1/scans?limit=5").json()) == 2


def test_what_a_scan_list_asks_looks_at_no_clock() -> None:
    """Each filter gives the same SQL and values whenever it is built."""
    values = {
        "scan_type": "model",
        "scan_status": "completed",
        "verdict": "pass",
        "passed": "false",
        "target": "a",
        "q": "abc",
        "severity": "high",
        "created_after": datetime(2026, 1, 1, tzinfo=UTC),
        "created_before": datetime(2026, 2, 1, tzinfo=UTC),
    }
    assert values.keys() == ScanQuery().fields.keys()
    first, second = (
        ScanQuery.filter(Scan.objects.all(), values).query.sql_with_params()
        for _ in range(2)
    )
    assert first == second
    assert ScanQuery.is_lasting


def named_statements() -> list[tuple[str, int, int]]:
    """Return what this connection has prepared: text, generic and custom plans."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT statement, generic_plans, custom_plans FROM pg_prepared_statements"
        )
        found: list[tuple[str, int, int]] = cursor.fetchall()
        return found


def test_a_query_of_a_list_is_planned_for_its_values() -> None:
    """One plan for any status walked a million completed scans for a failed one."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite plans once, without looking at values")
    make_scan(target="planned")
    kept = Remembered()
    since = datetime(2026, 1, 1, tzinfo=UTC)
    for _ in range(12):
        list(scans_of("planned", since))
        kept.rows("planned", scans_of("planned", since))
    ours = [each for each in named_statements() if "planned" in each[0]]
    assert [plans for _, *plans in ours] == [[12 - 5, 0]]
    assert not [text for text, *_ in named_statements() if "$1" in text]


def test_a_verdict_is_planned_once() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite prepares nothing")
    prepared = Prepared(scans_of)
    for number in range(25):
        prepared.rows(target=f"t{number}", since=timezone.now())
    [(_, generic, custom)] = [
        each for each in named_statements() if "scan_details" in each[0]
    ]
    assert (generic, custom) == (15, 5)


@pytest.mark.parametrize("text", HARD_TEXTS)
def test_values_are_written_into_the_sql_of_a_list(text: str) -> None:
    scan = make_scan(target=text)
    make_scan(target="other")
    since = datetime(2026, 1, 1, tzinfo=UTC)
    for _ in range(7):
        [row] = Remembered().rows("any", scans_of(text, since))
        assert row["scan_id"] == scan.pk


def test_what_nobody_looks_into_comes_as_it_is_stored() -> None:
    scan = make_scan(target="a", labels={"é": "\u202e%s"})
    [row] = Remembered().rows(
        "any",
        scans_of("a", datetime(2026, 1, 1, tzinfo=UTC)),
        as_written=("detail__labels", "detail__reasons"),
    )
    assert orjson.loads(orjson.dumps(row["detail__labels"])) == {"é": "\u202e%s"}
    assert orjson.loads(orjson.dumps(row["detail__reasons"])) == []
    is_text = isinstance(row["detail__labels"], orjson.Fragment)
    assert is_text == (connection.vendor == "postgresql")
    assert row["scan_id"] == scan.pk
