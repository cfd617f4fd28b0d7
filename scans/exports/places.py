"""Where a finding is, in the words of other formats."""

from __future__ import annotations

from urllib.parse import quote

from scans.exports.reading import ScanReport
from scans.exports.shapes import Row

# Element paths of an MCP document, which are no files.
MCP = "mcp"


def file_of(report: ScanReport, finding: Row) -> str:
    """Return the file of a finding as a relative POSIX path, never empty."""
    path = finding["location"]["path"] or ""
    if report.scan["scan_type"] == MCP or not path:
        path = report.file
    return path.strip("/") or "target"


def uri_of(path: str) -> str:
    """Return `path` as a relative reference (RFC 3986) that stays below its base."""
    parts = [part for part in path.split("/") if part not in {"", ".", ".."}]
    return quote("/".join(parts) or "target", safe="/~")


def where(finding: Row) -> str:
    """Say the place in one line: `file:member:line`, `server/tool`, or ''."""
    location = finding["location"]
    parts = [location[name] for name in ("path", "member", "line")]
    place = ":".join(str(part) for part in parts if part not in {None, ""})
    names = [location[name] for name in ("server", "tool") if location[name]]
    return place or "/".join(names)
