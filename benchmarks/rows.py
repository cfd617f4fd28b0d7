"""Databases of a wanted size on a throwaway PostgreSQL, made by SQL alone.

The rows are what scans leave behind: a row and its details each, one run, findings.
Secondary indexes are dropped and made again, foreign keys are not checked meanwhile:
a million scans take under a minute.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from apikeys import keys
from benchmarks.installation import PROJECT
from tests.servers import Servers, throwaway_servers

# The digest of scan number N is the SHA-256 of N as text.
SCANS = """
INSERT INTO scans (scan_id, created_at, scan_type, target, scan_status, verdict,
    total_findings, critical_count, high_count, medium_count, low_count, info_count,
    new_findings, started_at, finished_at, requested_by, digest, policy_name,
    policy_version, attempt, lease_owner, rung_at, progress_stage, progress_done,
    progress_total, is_of_bytes, rules)
SELECT id_of(n, 1), at, CASE n %% 4 WHEN 0 THEN 'mcp' ELSE 'model' END,
    'models/team-' || n %% 97 || '/weights-' || n %% 5003 || '.bin', 'completed',
    CASE n %% 3 WHEN 0 THEN 'fail' WHEN 1 THEN 'pass' ELSE 'inconclusive' END,
    %(each)s, 0, %(each)s, 0, 0, 0, 0, at, at + interval '4 s', 'ci',
    encode(sha256(n::text::bytea), 'hex'), 'default', 1, 1, '', at, 'finished', 5, 5,
    true, repeat('a', 64)
FROM (SELECT n, time_of(n) AS at FROM generate_series(1, %(scans)s) AS n) AS numbered
"""
DETAILS = """
INSERT INTO scan_details (scan_id, labels, reasons, options, traceparent)
SELECT id_of(n, 1), '{"repository": "models/team", "branch": "main"}',
    '["1 finding at or above high: modelaudit:S201"]', '{}', ''
FROM generate_series(1, %(scans)s) AS n
"""
RUNS = """
INSERT INTO scanner_runs (run_id, scan_id, scanner, tool_version, lock_digest, status,
    sandbox, duration_ms, findings_count, coverage, error, created_at)
SELECT id_of(n, 2), id_of(n, 1), 'modelaudit', '0.2.54', repeat('b', 64), 'completed',
    'landlock', 3500, %(each)s,
    '{"complete": true, "files_total": 1, "files_scanned": 1}', '', time_of(n)
FROM generate_series(1, %(scans)s) AS n
"""
FINDINGS = """
INSERT INTO findings (finding_id, scan_id, scanner, rule, severity, category, title,
    description, location, evidence, remediation, taxonomy, fingerprint, is_new,
    created_at)
SELECT id_of(n, 3 + i), id_of(n, 1), 'modelaudit', 'modelaudit:S20' || i %% 10, 3,
    'code_execution', 'A dangerous import in a pickle',
    'The pickle imports os.system and calls it when it is loaded.',
    '{"path": "archive/data.pkl", "byte_offset": 17}', '{"import": "os.system"}',
    'Do not load this file.', '{"cwe": [502], "owasp_llm": ["LLM03"]}',
    'v1:' || md5(n || '.' || i) || md5(i || '.' || n), false, time_of(n)
FROM generate_series(1, %(scans)s) AS n, generate_series(1, %(each)s) AS i
"""
FUNCTIONS = """
CREATE FUNCTION time_of(n bigint) RETURNS timestamptz IMMUTABLE LANGUAGE sql AS
    $$ SELECT timestamptz '{begin}' + n * interval '{step_seconds} second' $$;
CREATE FUNCTION id_of(n bigint, part bigint) RETURNS uuid IMMUTABLE LANGUAGE sql AS
    $$ SELECT (lpad(to_hex((extract(epoch FROM time_of(n)) * 1000)::bigint), 12, '0')
        || '7' || lpad(to_hex(part), 3, '0') || '8'
        || substr(md5(n || '-' || part), 1, 15))::uuid $$;
"""
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SECONDARY = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid IN ('scans'::regclass, 'findings'::regclass, 'scanner_runs'::regclass)
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""


@dataclass(frozen=True)
class Database:
    """One filled database, and a key that opens its doors."""

    url: str
    key: str


class Stock:
    """Servers of a benchmark, and the databases made on them."""

    def __init__(self, servers: Servers) -> None:
        self.redis_url = servers.redis_url
        self.directory = servers.directory
        self._server = servers.database_url.rpartition("/")[0]
        self._execute("postgres", "CREATE DATABASE migrated")
        migrate(f"{self._server}/migrated", servers.directory)

    def filled(self, name: str, *, scans: int, each: int) -> Database:
        """Make a database of `scans` scans with `each` findings."""
        url = self.made(name)
        with psycopg.connect(url, autocommit=True) as connection:
            fill(connection, {"scans": scans, "each": each})
            return Database(url, issue_key(connection))

    def made(self, name: str) -> str:
        """Make a database with tables and no rows; its URL."""
        self._execute("postgres", f"CREATE DATABASE bench_{name} TEMPLATE migrated")
        return f"{self._server}/bench_{name}"

    def _execute(self, database: str, statement: str) -> None:
        url = f"{self._server}/{database}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def stocked() -> Iterator[Stock]:
    """Keep PostgreSQL and Redis while the block runs."""
    with throwaway_servers() as servers:
        yield Stock(servers)


def migrate(database_url: str, data: Path) -> None:
    manage = [sys.executable, str(PROJECT / "manage.py")]
    command = [*manage, "migrate", "-v0", "--skip-checks"]
    places = {"DATABASE_URL": database_url, "SENTRASCAN_DATA_DIR": str(data / "data")}
    subprocess.run(command, env=os.environ | places, check=True)


def functions(begin: datetime = BEGIN, step_seconds: float = 1) -> str:
    """Return the statements that make what the others call: times, and ids of them."""
    return FUNCTIONS.format(begin=begin.isoformat(), step_seconds=step_seconds)


def fill(
    connection: psycopg.Connection,
    sizes: Mapping[str, int],
    statements: Sequence[str] = (SCANS, DETAILS, RUNS, FINDINGS),
    *,
    begin: datetime = BEGIN,
    step_seconds: float = 1,
) -> None:
    """Insert what the statements make; scan number N is N steps after `begin`."""
    connection.execute("SET session_replication_role = replica")
    connection.execute("SET maintenance_work_mem = '512MB'")
    connection.execute(functions(begin, step_seconds).encode())
    secondary = connection.execute(SECONDARY).fetchall()
    for index, _definition in secondary:
        connection.execute(f"DROP INDEX {index}")
    for statement in statements:
        # Bound here: the server could not tell the types of a series' ends.
        psycopg.ClientCursor(connection).execute(statement, sizes)
    for _index, definition in secondary:
        connection.execute(definition)
    # What autovacuum does in the hours that such a table takes to grow.
    connection.execute("VACUUM ANALYZE")


def issue_key(connection: psycopg.Connection) -> str:
    plain = keys.generate()
    connection.execute(
        "INSERT INTO api_keys (key_id, name, role, created_at, created_by, public_id,"
        " digest) VALUES (gen_random_uuid(), 'bench', 'admin', now(), '', %s, %s)",
        [plain.public_id, plain.digest],
    )
    return plain.text
