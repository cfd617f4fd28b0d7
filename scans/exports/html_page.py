"""One HTML file for people: no script, no request to anywhere, fit to be printed.

All texts go through Django's escaping; the page's own policy lets nothing run or load,
whatever a mistake of ours would let in.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from itertools import batched
from pathlib import Path
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from scanners.contract import Severity
from scans.exports.json_text import Pieces, dump
from scans.exports.places import where
from scans.exports.reading import ScanReport, waiver_note
from scans.exports.shapes import Row

AT_ONCE = 200
FOLDER = Path(settings.BASE_DIR) / "templates" / "reports"
STYLE = (FOLDER / "report.css").read_text("utf-8").replace("\n", " ")
_digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_digest}'; base-uri 'none'; "
    "form-action 'none'"
)
# These two count in a header only.
HEADERS = {"Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'; sandbox"}
LISTS = ("cwe", "owasp_llm", "owasp_mcp", "atlas")


def render(report: ScanReport) -> Pieces:
    yield _rendered("head", _head(report.scan))
    for findings in batched(map(_finding, report.findings()), AT_ONCE, strict=False):
        yield _rendered("findings", {"findings": findings})
    ids = {"version": settings.VERSION, "scan_id": report.scan["scan_id"]}
    yield _rendered("foot", ids)


def written_by() -> list[str]:
    """Return the digests of what decides how a page looks."""
    files = sorted(FOLDER.iterdir())
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def _rendered(name: str, context: dict[str, Any]) -> bytes:
    return render_to_string(f"reports/{name}.html", context).encode()


def _head(scan: Row) -> dict[str, Any]:
    runs = scan["runs"]
    skipped = {s["path"]: s["reason"] for r in runs for s in r["coverage"]["skipped"]}
    notes = [note for run in runs for note in run["coverage"]["notes"]]
    return {
        "policy": POLICY,
        "style": mark_safe(STYLE),  # noqa: S308 - our own file, and no text of others
        "verdict": scan["verdict"] or scan["scan_status"],
        "target": visible(scan["target"]),
        "reasons": [visible(reason) for reason in scan["reasons"]],
        "facts": [(name, visible(value)) for name, value in _facts(scan) if value],
        "runs": [_run(run) for run in runs],
        "skipped": [(visible(p), visible(reason)) for p, reason in skipped.items()],
        "notes": [visible(note) for note in dict.fromkeys(notes)],
        "counts": _counts(scan),
    }


def _facts(scan: Row) -> Iterator[tuple[str, str]]:
    policy = scan["policy"]
    yield "Kind", scan["scan_type"]
    yield "SHA-256", scan["digest"] or ""
    yield "Policy", f"{policy['name']}, version {policy['version']}"
    yield "Submitted", _moment(scan["created_at"])
    yield "Finished", _moment(scan["finished_at"])
    yield "By", scan["requested_by"]
    yield "Labels", ", ".join(f"{k}={v}" for k, v in scan["labels"].items())
    yield "Scan", str(scan["scan_id"])


def _moment(when: Any) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S} UTC" if when else ""


def _run(run: Row) -> Row:
    seen = run["coverage"]
    examined = f"{seen['files_scanned'] + seen['files_inert']} of {seen['files_total']}"
    return {
        "scanner": run["scanner"],
        "version": run["tool_version"],
        "status": run["status"],
        "error": visible(run["error"] or ""),
        "findings": run["findings_count"],
        "examined": f"{examined}{'' if seen['complete'] else ', incomplete'}",
    }


def _counts(scan: Row) -> str:
    names = [severity.name.lower() for severity in reversed(Severity)]
    told = [f"{n} {name}" for name in names if (n := scan[f"{name}_count"])]
    if not told and not scan["total_findings"]:
        return "None."
    return f"{scan['total_findings']} in all: {', '.join(told)}."


def _finding(finding: Row) -> Row:
    facts = [
        ("Rule", finding["rule"]),
        ("Category", finding["category"]),
        ("Where", where(finding)),
        ("Classes", ", ".join(each for name in LISTS for each in finding[name])),
        ("Evidence", dump(finding["evidence"]).decode() if finding["evidence"] else ""),
        ("Waived", waiver_note(finding)),
        ("Fingerprint", finding["fingerprint"]),
    ]
    return {
        "severity": finding["severity"],
        "breach": finding["breach"],
        "waiver": finding["waiver"],
        "title": visible(finding["title"]),
        "description": visible(finding["description"]),
        "remediation": finding["remediation"],
        "facts": [(name, visible(value)) for name, value in facts if value],
    }


def visible(text: str) -> str:
    """Return `text` with an escape for what nobody would see or what turns writing."""
    return "".join(
        each
        if each.isprintable() or each == "\n"
        else each.encode("unicode_escape").decode()
        for each in text
    )
