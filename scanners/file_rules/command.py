"""Command line: ROOT ELEMENTS REPORT.

ELEMENTS is a JSON file, a list of paths relative to ROOT; REPORT is written:

    {"format": 1, "files": [{"path", "status", "format", "reason", "size_bytes",
                             "is_identified", "matches": [{"rule", "place", "texts"}]}]}

Ends with 0 when every path was looked at, whatever was found; 2 on wrong usage.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from scanners.file_rules.outcome import Outcome, Status
from scanners.file_rules.recognise import examine

REPORT_FORMAT = 1
# Of all files together: a report must stay readable and below the runner's limit.
MAX_MATCHES = 5_000


def main() -> int:
    if len(sys.argv) != 4:
        sys.stderr.write("usage: ROOT ELEMENTS REPORT\n")
        return 2
    root, elements, report = (Path(argument) for argument in sys.argv[1:])
    paths: list[str] = json.loads(elements.read_text("utf-8"))
    files = _cut_matches([_entry(root, path) for path in paths])
    document = {"format": REPORT_FORMAT, "files": files}
    report.write_text(json.dumps(document), "ascii")
    return 0


def _entry(root: Path, path: str) -> dict[str, Any]:
    outcome: Outcome = examine(root, path)
    is_read = outcome.status in (Status.SCANNED, Status.INERT)
    return {
        "path": path,
        "status": outcome.status.value,
        "format": outcome.format,
        "reason": outcome.reason,
        "size_bytes": (root / path).stat().st_size if is_read else 0,
        "is_identified": outcome.is_identified,
        "matches": [
            {"rule": match.rule, "place": match.place, "texts": list(match.texts)}
            for match in outcome.matches
        ],
    }


def _cut_matches(files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Files whose matches no longer fit are failed: what is left out must show."""
    left = MAX_MATCHES
    for file in files:
        if len(file["matches"]) > left:
            file["status"] = Status.FAILED.value
            file["reason"] = f"more than {MAX_MATCHES} matches in this target"
            file["matches"] = file["matches"][:left]
        left -= len(file["matches"])
    return files
