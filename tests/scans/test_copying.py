"""Findings by COPY: the same rows as by INSERT, and as much part of a transaction."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from scanners.contract import Category, Severity
from scans.choices import ScanStatus, Verdict
from scans.models import Finding, Lease, Scan
from scans.models.copying import COPY_ABOVE
from tests.scans.api_samples import make_scan
from tests.scans.waiters import wait_for_a_waiter

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]
# What tools quote comes from attackers; `recording` has escaped NUL bytes by then.
HARD: list[Any] = [
    {},
    {"n": None, "list": [], "nested": [{"a": [1, 2.5, True, False, None]}]},
    {'quote"s \\ and \t tabs\n\r': "\\N \\. \\x00 \x01\x1f\x7f", "": ""},
    {"wide": "é 漢字 \U0001f600 \u202e\u2028", "big": 2**70, "small": -0.1e-12},
    [],
    "text",
    0,
]
TEXTS = [
    "",
    "plain",
    "\\N",
    "\\.",
    "a\tb\nc\rd\\e",
    "é漢\U0001f600\u202e",
    "\\x00",
    "'\"",
]


def rows_for(scan: Scan, count: int) -> list[Finding]:
    return [
        Finding(
            scan=scan,
            scanner="modelaudit",
            rule=f"modelaudit:{TEXTS[n % len(TEXTS)]}",
            severity=list(Severity)[n % len(Severity)],
            category=list(Category)[n % len(Category)],
            title=TEXTS[n % len(TEXTS)] * (1 + n % 3),
            description=TEXTS[(n + 1) % len(TEXTS)],
            location={"path": TEXTS[n % len(TEXTS)], "line": n if n % 2 else None},
            evidence=HARD[n % len(HARD)],
            remediation=TEXTS[(n + 3) % len(TEXTS)],
            taxonomy={"cwe": [f"CWE-{n}"], "atlas": []},
            fingerprint=f"v1:{n:064x}",
            is_new=bool(n % 2),
            created_at=datetime(2026, 1, 1, 12, 30, 15, n, tzinfo=UTC),
        )
        for n in range(count)
    ]


def stored(scan: Scan) -> list[tuple[Any, ...]]:
    """Return the rows of a scan as the database holds them, keys and scan aside."""
    columns = [f.column for f in Finding._meta.concrete_fields]
    kept = ", ".join(
        f"CAST({name} AS TEXT)" for name in columns if not name.endswith("_id")
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {kept} FROM findings WHERE scan_id = %s "  # noqa: S608 - our own names
            "ORDER BY fingerprint",
            [scan.pk if connection.vendor == "postgresql" else scan.pk.hex],
        )
        return cursor.fetchall()


def test_what_is_copied_is_what_would_have_been_inserted() -> None:
    copied, inserted = make_scan(), make_scan()
    count = COPY_ABOVE + 200
    Finding.objects.insert_many(rows_for(copied, count))
    Finding.objects.bulk_create(rows_for(inserted, count))
    assert len(stored(copied)) == count
    assert stored(copied) == stored(inserted)
    assert list(
        Finding.objects.filter(scan=copied)
        .order_by("fingerprint")
        .values_list("evidence", flat=True)
    ) == [HARD[n % len(HARD)] for n in range(count)]


def test_only_many_rows_are_copied() -> None:
    rows = rows_for(make_scan(), COPY_ABOVE + 3)
    with CaptureQueriesContext(connection) as few:
        Finding.objects.insert_many(rows[:2])
    with CaptureQueriesContext(connection) as many:
        Finding.objects.insert_many(rows[2:])
    is_copied = any("COPY" in query["sql"] for query in many.captured_queries)
    assert is_copied == (connection.vendor == "postgresql")
    assert not any("COPY" in query["sql"] for query in few.captured_queries)


def test_a_copy_is_part_of_its_transaction() -> None:
    scan = make_scan()
    with transaction.atomic():
        Finding.objects.insert_many(rows_for(scan, COPY_ABOVE + 1))
        assert Finding.objects.filter(scan=scan).count() == COPY_ABOVE + 1
        transaction.set_rollback(True)
    assert not Finding.objects.filter(scan=scan).exists()


def test_a_copy_meets_the_constraints_as_an_insert_does() -> None:
    rows = rows_for(make_scan(), COPY_ABOVE + 1)
    rows[-1].fingerprint = rows[0].fingerprint
    with pytest.raises(IntegrityError), transaction.atomic():
        Finding.objects.insert_many(rows)


def test_nothing_is_inserted_for_nothing() -> None:
    Finding.objects.insert_many([])
    assert not Finding.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_scan_deleted_while_its_findings_are_written_takes_them_along() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite writes one transaction at a time")
    scan = make_scan(scan_status=ScanStatus.RUNNING, lease_owner="me", attempt=1)
    lease = Lease(scan.pk, "me", 1)
    deleting = threading.Thread(target=delete_in_thread, args=[scan])
    with transaction.atomic():
        # What `recording.record` does first: from here on a deletion has to wait.
        assert Scan.objects.finish(lease, ScanStatus.COMPLETED, verdict=Verdict.PASS)
        deleting.start()
        wait_for_a_waiter()
        Finding.objects.insert_many(rows_for(scan, COPY_ABOVE + 1))
    deleting.join(20)
    assert not deleting.is_alive()
    assert not Scan.objects.filter(pk=scan.pk).exists()
    assert not Finding.objects.exists()


def delete_in_thread(scan: Scan) -> None:
    try:
        Scan.objects.filter(pk=scan.pk).delete()
    finally:
        connection.close()
