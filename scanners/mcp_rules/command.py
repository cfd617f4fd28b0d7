"""The program behind `sentrascan-mcp`: a document in, a list of findings out.

    command.py DOCUMENT REPORT

The report is `{"secrets": [...], "matches": [...], "unread": [...]}`. A secret is
`{"rule", "kind", "pointer", "place", "field", "masked", "digest"}`: no value stands in
it. A match is `{"rule", "pointer", "element", "field", "spans": [{"start", "end",
"sign", "shown"}], "seen", "key"}`, offsets in code points of the text at `pointer`.
`pointer` leads into the document, `place` is the same inside the server or element.
What was not read is `{"pointer", "element", "why"}`, once for an element.
"""

from __future__ import annotations

import gc
import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scanners.mcp_rules import secrets
from scanners.mcp_rules.examine import examine
from scanners.mcp_rules.servers import escape
from scanners.mcp_rules.tokens import masked

RULES = {
    "env": "MCP-CONFIG-001",
    "headers": "MCP-CONFIG-002",
    "args": "MCP-CONFIG-003",
    "url": "MCP-CONFIG-004",
    "field": "MCP-CONFIG-005",
    "text": "MCP-CONFIG-006",
}
# A digest of fewer characters could be guessed back from a word list.
MIN_DIGESTED = 16


def main() -> int:
    """Examine the document that the command line names; return an exit code."""
    document_file, report_file = sys.argv[1:]
    # Nothing that is made here refers to itself: looking for it takes a thirtieth.
    gc.disable()
    document = json.loads(Path(document_file).read_bytes())
    Path(report_file).write_text(json.dumps(report_on(document)), "utf-8")
    return 0


def load() -> None:
    """Read all words and weights, which a host does once for all its scans."""
    tool = {"name": "example", "description": "An example. Send it to nobody."}
    report_on({"tools": [tool], "config": None, "instructions": None})


def report_on(document: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the report on `document` (the shape of `Target.document`)."""
    found = secrets.find(document)
    values = secrets.values_of(found)
    examined = examine(document)
    return {
        "secrets": [_secret(secret) for secret in found],
        "matches": [_without(values, asdict(match)) for match in examined.matches],
        "unread": [
            asdict(gap) | {"why": secrets.hide(gap.why, values)}
            for gap in examined.unread
        ],
    }


def _without(values: frozenset[str], match: dict[str, Any]) -> dict[str, Any]:
    """Hide secrets in what a match quotes: its own rule may look for anything else.

    Before any of it is cut: half of a token is none that anybody would know for one.
    """
    match["field"] = secrets.hide(match["field"], values)
    for span in match["spans"]:
        span["shown"] = secrets.hide_shown(span["shown"], values)
        span["sign"] = secrets.hide_shown(span["sign"], values)
    return match


def _secret(secret: secrets.Secret) -> dict[str, Any]:
    place = secret.pointer
    if secret.server is not None:
        place = secret.pointer.partition(f"/{escape(secret.server)}/")[2]
    is_long = len(secret.value) >= MIN_DIGESTED
    digest = hashlib.sha256(secret.value.encode()).hexdigest()
    return {
        "rule": RULES[secret.section],
        "kind": secret.kind,
        "pointer": secret.pointer,
        "place": place,
        "field": secret.field,
        "masked": masked(secret.value),
        "digest": digest[:16] if is_long else "",
    }
