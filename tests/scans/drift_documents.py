"""Documents of MCP targets, and the way of two of them to what is told of a drift."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from scanners.redaction import secrets_of
from scanners.workspace import from_document
from scans import snapshots
from scans.comparing import of_documents
from scans.drift import Change
from scans.snapshots import Seal

SEAL = Seal(b"k" * 32)
TEXT = "Adds two numbers of any size."


def comparison(tmp_path: Path) -> Callable[[Any, Any], list[Change]]:
    """Return what compares two documents as a scan does, in `tmp_path`."""
    counter = iter(range(100))

    def snapshot(document: Any) -> dict[str, Any]:
        run = tmp_path / str(next(counter))
        run.mkdir()
        target = from_document(json.dumps(document).encode(), run)
        return snapshots.of_document(
            target, secrets_of(target.document or {}), SEAL
        ).document

    def compare(before: Any, after: Any) -> list[Change]:
        approved = as_postgres_reads(snapshot(before))
        found = of_documents(approved, snapshot(after), is_mcp=True)
        assert found.not_compared == ()
        return found.changes

    return compare


def as_postgres_reads(value: Any) -> Any:
    """Return what `jsonb` makes of it: a number is a decimal, whole ones integers."""

    def number(text: str) -> int | float:
        exact = Decimal(text)
        is_whole = exact == exact.to_integral_value()
        return int(exact) if is_whole else float(text)

    return json.loads(json.dumps(value), parse_float=number)


def tool(name: str = "add", text: str = TEXT, x: Any = None, **more: Any) -> Any:
    schema = {"type": "object", "properties": {"x": x or {"type": "string"}}}
    return {"name": name, "description": text, "inputSchema": schema, **more}


def tools(*each: Any) -> Any:
    return {"tools": [*each]}


def server(name: str = "gh", **more: Any) -> Any:
    return {"config": {"mcpServers": {name: {"command": "npx", **more}}}}


def far(url: str) -> Any:
    return {"config": {"mcpServers": {"gh": {"url": url}}}}


def beside(**settings: Any) -> Any:
    return {"config": server()["config"] | settings}
