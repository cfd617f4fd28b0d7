"""What each list of the API asks the database, however many rows there are."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from rest_framework.test import APIClient

from apikeys.choices import ActorKind
from apikeys.models import ApiKey, AuditEvent
from scanners.contract import Severity
from scans.models import (
    Baseline,
    Finding,
    Policy,
    PolicyDefault,
    Scan,
    Target,
    Waiver,
    Worker,
)
from scans.models.scans import has_any
from tests.scans.api_samples import make_finding, make_run, make_scan, remember

pytestmark = pytest.mark.django_db

# The key and the page; a list of findings that is one scan's asks no more either.
QUERIES = {
    "scans": 2,
    "scans/<uuid:scan_id>/findings": 2,
    "findings": 2,
    "baselines": 2,
    # One more for the newest scans of all targets of the page.
    "targets": 3,
    "targets/<uuid:target_id>/history": 2,
    "targets/<uuid:target_id>/findings": 2,
    "waivers": 2,
    # The built-in policy exists by being asked for.
    "policies": 3,
    "policies/<str:name>/versions": 3,
    "policy-defaults": 2,
    "scanners": 2,
    "api-keys": 2,
    "audit-events": 2,
}


@pytest.mark.parametrize("path", QUERIES)
def test_a_list_costs_the_same_queries_with_one_row_and_with_many(
    api: APIClient, path: str
) -> None:
    scan = fill(1)
    path_ = path.replace("<uuid:scan_id>", str(scan.pk)).replace("<str:name>", "many")
    path_ = path_.replace("<uuid:target_id>", str(scan.target_record_id))
    url = f"/api/v1/{path_}"
    api.get(url)  # the key's last use is written once a minute
    assert queries_of(api, url) == QUERIES[path]
    rows = len(api.get(url).json())
    for number in range(2, 9):
        fill(number, scan)
    assert path == "scanners" or len(api.get(url).json()) > rows
    assert queries_of(api, url) == QUERIES[path]


def test_every_list_is_among_them() -> None:
    found = {path for path, view in routes() if "List" in view or "Findings" in view}
    assert found == set(QUERIES)


@pytest.mark.parametrize("severity", Severity)
def test_a_severity_is_asked_for_in_the_words_of_its_index(severity: Severity) -> None:
    rows = Scan.objects.filter(has_any(severity))
    statement, parameters = rows.query.sql_with_params()
    name = severity.name.lower()
    assert f'"{name}_count" > 0' in statement
    assert parameters == ()
    assert f"scans_scan_has_{name}" in {index.name for index in Scan._meta.indexes}


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        # A page of a rule is read in its order: it may have millions.
        ("rule", "a:B", 150),
        *[("scanner", "a", 3), ("category", "other", 3), ("severity", 1, 3)],
    ],
)
def test_findings_of_a_filter_are_found_and_counted_by_its_index(
    name: str, value: str | int, found: int
) -> None:
    make_findings(2_000)
    make_findings(found, **{name: value})
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            # Else it plans for as many rows as earlier tests left room for.
            cursor.execute("ANALYZE findings")
            # So few rows would rather be read whole.
            cursor.execute("SET LOCAL enable_seqscan = off")
    rows = Finding.objects.filter(**{name: value})
    index = f"scans_finding_{name}"
    assert index in rows.order_by().values("pk")[:10_001].explain()
    plan = rows.order_by("-created_at", "-finding_id")[:51].explain()
    assert index in plan
    if name == "rule":
        assert "Sort" not in plan
        assert "TEMP B-TREE" not in plan


def make_findings(count: int, **values: str | int) -> None:
    """Insert findings of one scan that differ in their identity only."""
    first = make_finding(make_scan(), 0, **values)
    fields = [field for field in Finding._meta.concrete_fields if not field.primary_key]
    same = {field.attname: getattr(first, field.attname) for field in fields}
    Finding.objects.bulk_create(
        Finding(**same | {"fingerprint": f"v1:{number:064x}"})
        for number in range(1, count)
    )


def fill(number: int, scan: Scan | None = None) -> Scan:
    """Add one row to each list; findings to `scan`, and to its target."""
    target = Target.objects.create(scan_type="model", name=f"m{number}")
    made = make_scan(minutes=number, target=target.name, target_record=target)
    make_run(made)
    make_finding(scan or made, number)
    of_target = {"target_record": (scan or made).target_record}
    make_scan(minutes=100 + number, target="m1", **of_target)
    remember((scan or made).target_record, number)
    Baseline.objects.create(
        scan=made, name=f"b{number}", scan_type="model", target=f"m{number}"
    )
    Worker.objects.create(name=f"w{number}")
    Policy.objects.create(name=f"p{number}")
    Policy.objects.create(name="many", version=number)
    PolicyDefault.objects.create(
        scan_type="model", pattern=f"p{number}*", policy_name=f"p{number}"
    )
    later = timezone.now() + timedelta(days=1)
    Waiver.objects.create(fingerprint=f"v1:{number:064x}", reason="r", expires_at=later)
    ApiKey.objects.issue(name=f"k{number}", role="viewer")
    AuditEvent.objects.create(
        actor="a", actor_kind=ActorKind.KEY, action="scan.delete", object_type="scan"
    )
    return scan or made


def queries_of(api: APIClient, url: str) -> int:
    with CaptureQueriesContext(connection) as said:
        assert api.get(url).status_code == 200
    return len(said)


def routes() -> list[tuple[str, str]]:
    """Return path below /api/v1/ and view class of every route that can GET."""
    found: list[tuple[str, str]] = []

    def walk(patterns: list[URLPattern | URLResolver], prefix: str) -> None:
        for each in patterns:
            path = prefix + str(each.pattern)
            if isinstance(each, URLResolver):
                walk(each.url_patterns, path)
            elif view := getattr(each.callback, "view_class", None):
                found.append((path.removeprefix("api/v1/"), view.__name__))

    walk(get_resolver().url_patterns, "")
    return [each for each in found if not each[0].startswith("admin/")]
