"""The same list of 50 scans by WSGI and psycopg alone: what the machine can do.

The key is checked as the product does (form, checksum, SHA-256 in constant time, end)
and the body is the same to the byte. What it leaves out is what the framework gives:
roles, filters, cursors, counts, limits, logs.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg
from psycopg.rows import dict_row

from apikeys import keys

KEY = """
SELECT digest, is_revoked, expires_at, grace_until FROM api_keys WHERE public_id = %s
"""
PAGE = """
SELECT scan_id, created_at, started_at, finished_at, scan_type, target, scan_status,
    verdict, passed, total_findings, critical_count, high_count, medium_count,
    low_count, info_count, new_findings, baseline_id, requested_by, attempt, digest,
    policy_name, policy_version, progress_stage, progress_done, progress_total,
    labels::text, reasons::text
FROM scans LEFT JOIN scan_details USING (scan_id)
ORDER BY created_at DESC, scan_id DESC LIMIT 51
"""
SAME = PAGE[PAGE.index("scan_id") : PAGE.index(", digest")].replace("\n", " ")
NAMES = [name.strip() for name in SAME.split(",")]
_of_thread = threading.local()


def application(
    environ: dict[str, Any], start_response: Callable[..., object]
) -> Iterable[bytes]:
    connection = _connection()
    if not is_good(connection, environ.get("HTTP_X_API_KEY", "")):
        start_response("401 Unauthorized", [("Content-Length", "0")])
        return [b""]
    rows = connection.execute(PAGE).fetchall()[:50]
    body = orjson.dumps([shape(row) for row in rows], option=orjson.OPT_UTC_Z)
    size = ("Content-Length", str(len(body)))
    start_response("200 OK", [("Content-Type", "application/json"), size])
    return [body]


def is_good(connection: psycopg.Connection[dict[str, Any]], text: str) -> bool:
    presented = keys.parse(text)
    if presented is None:
        return False
    row = connection.execute(KEY, [presented.public_id]).fetchone()
    if row is None or not presented.has_digest(row["digest"]) or row["is_revoked"]:
        return False
    now = datetime.now(UTC)
    ends = (row["expires_at"], row["grace_until"])
    return not any(end and end <= now for end in ends)


def shape(row: dict[str, Any]) -> dict[str, Any]:
    started, finished = row["started_at"], row["finished_at"]
    took = (finished - started).total_seconds() if started and finished else None
    return {
        **{name: row[name] for name in NAMES},
        "reasons": orjson.Fragment(row["reasons"]),
        "duration_ms": None if took is None else max(0, round(took * 1000)),
        "progress": {
            "stage": row["progress_stage"],
            "done": row["progress_done"],
            "total": row["progress_total"],
        },
        "policy": {"name": row["policy_name"], "version": row["policy_version"]},
        "digest": row["digest"] or None,
        "labels": orjson.Fragment(row["labels"]),
    }


def _connection() -> psycopg.Connection[dict[str, Any]]:
    connection = getattr(_of_thread, "connection", None)
    if connection is None:
        url = os.environ["DATABASE_URL"]
        connection = psycopg.connect(url, autocommit=True, row_factory=dict_row)
        connection.execute("SET TIME ZONE 'UTC'")
        _of_thread.connection = connection
    return connection
