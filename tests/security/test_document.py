"""docs/security.md promises nothing that no test proves."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")
TESTS = PROJECT / "tests"
# Told of in words, below the table.
LOGS = "security/test_logs.py"
# What is hostile, or keeps something hostile in.
ATTACKED = (
    *("sandbox", "runner", "scratch", "hosts", "workspace", "scan_roots"),
    *("unpacking", "zip_layout", "egress", "buckets", "sources", "introspect"),
    *("inquiry", "inquiry_headers", "inquiry_strangers", "gateway", "proxy"),
    *("server_network", "redaction", "modelaudit_extras"),
)
TABLE = (PROJECT / "docs" / "security.md").read_text("utf-8")


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_test_that_the_table_names_exists() -> None:
    named = NAMED.findall(TABLE)
    assert len(named) > 30
    missing = [
        f"{file}::{name}"
        for file, name in named
        if name not in functions(PROJECT / "tests" / file)
    ]
    assert missing == []


def test_no_suite_of_attacks_is_left_out_of_the_table() -> None:
    """A new file of attacks stands for a threat that the table must name."""
    suites = {
        *(f"security/{path.name}" for path in TESTS.glob("security/test_*.py")),
        *(f"scanners/test_{name}.py" for name in ATTACKED),
    } - {f"security/{Path(__file__).name}"}
    assert suites - {file for file, _ in NAMED.findall(TABLE)} == {LOGS}
    assert f"`tests/{LOGS}`" in TABLE


def test_every_threat_has_a_proof() -> None:
    table = TABLE.partition("## The ladder")[0]
    rows = [row for row in table.splitlines() if row.startswith("| ")][1:]
    assert rows
    assert [row for row in rows if not NAMED.search(row)] == []
