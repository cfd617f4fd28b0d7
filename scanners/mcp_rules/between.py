"""What the tools of one document are to each other (`MCP-CROSS-004` and on)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from scanners.mcp_rules.matches import Match, Span, shown
from scanners.mcp_rules.reading import unmasked

TWICE, ALIKE, FLOW = "MCP-CROSS-004", "MCP-CROSS-005", "MCP-CROSS-006"

_LOOKS = str.maketrans("01358", "olesb")
_UNTRUSTED = re.compile(
    r"(?i)(?:^|_)(?:fetch|browse|crawl|scrape|web|url|page|rss|issues?|comments?|inbox"
    r"|e?mails?|messages?|search|navigate|pull_requests?|tweets?|posts?|feed)(?:_|$)"
)
_PRIVATE = re.compile(
    r"(?i)(?:^|_)(?:files?|env|secrets?|query|sql|database|repos?(?:itory|itories)?|drive"
    r"|notes?|memory|contacts?|calendar|keychain|documents?|clipboard|history)(?:_|$)"
)
_READS = re.compile(
    r"(?i)(?:^|_)(?:read|get|list|search|fetch|query|find|show|view|open)(?:_|$)"
)
_OUT = re.compile(
    r"(?i)(?:^|_)(?:send|post|upload|publish|share|webhook|tweet|forward|reply|push"
    r"|create_issue|create_gist|create_pull_request|http_request)(?:_|$)"
)


def find(document: Mapping[str, Any]) -> Iterator[Match]:
    """Yield names that stand for two tools, and the combination that leaks."""
    names = [
        (position, tool["name"])
        for position, tool in enumerate(document.get("tools") or [])
        if isinstance(tool, Mapping) and isinstance(tool.get("name"), str)
    ]
    yield from _names(names)
    yield from _flow(names)


def _names(names: list[tuple[int, str]]) -> Iterator[Match]:
    known: dict[str, str] = {}
    exact: set[str] = set()
    for position, name in names:
        element = f"/tools/{position}"
        plain = _plain(name)
        sign, rule = "", ""
        if name in exact:
            sign, rule = "the name of another tool", TWICE
        elif plain in known:
            sign, rule = f"reads like {shown(known[plain])}", ALIKE
        if rule:
            span = Span(0, len(name), sign, shown(name))
            pointer = f"{element}/name"
            yield Match(rule, pointer, element, "name", (span,), key=plain[:200])
        exact.add(name)
        known.setdefault(plain, name)


def _plain(name: str) -> str:
    """Return a name as it is read in haste."""
    read = unmasked(unicodedata.normalize("NFKC", name[:1000])).lower()
    letters = "".join(char for char in read if char.isalnum())
    # A number at the end counts: step1 and step2 are two tools.
    end = len(letters.rstrip("0123456789"))
    return letters[:end].translate(_LOOKS) + letters[end:]


def _flow(names: list[tuple[int, str]]) -> Iterator[Match]:
    """Untrusted content, private data and a way out in one context."""
    found: dict[str, str] = {}
    for _, name in names:
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name[:200]).replace("-", "_")
        is_out = _OUT.search(words)
        if is_out:
            found.setdefault("a way out", name)
        elif _READS.search(words) and _PRIVATE.search(words):
            found.setdefault("private data", name)
        elif _UNTRUSTED.search(words):
            found.setdefault("content of strangers", name)
    if len(found) == 3:
        spans = [Span(0, len(name), sign, shown(name)) for sign, name in found.items()]
        yield Match(FLOW, "", "", "tools", tuple(spans), key="flow")
