"""docs/security.md promises nothing that no test proves."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")
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


def test_every_threat_has_a_proof() -> None:
    table = TABLE.partition("## The ladder")[0]
    rows = [row for row in table.splitlines() if row.startswith("| ")][1:]
    assert rows
    assert [row for row in rows if not NAMED.search(row)] == []
