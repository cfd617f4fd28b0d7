"""Words and examples of the schema that would drown the doors."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter

SUBMIT = (
    "Answers 202 and the scan, which a worker takes up. With `Prefer: wait=30` the "
    "answer waits for the verdict, up to 60 seconds, and is then 200; where the server "
    "has no thread to spare it is 202 at once. As JSON: a path below the scan roots, "
    "an MCP document, or an MCP server's address. As a form: one or more files, "
    "streamed to disk."
)
EVENTS = (
    "`event: progress` with the scan whenever it changed, while scanners run each "
    "second (`progress` is then the time against the limit), `event: finished` with "
    "the scan and its runs, or `event: deleted`. Lines beginning with a colon keep the "
    "connection alive. 503 when too many clients listen: ask for the scan instead."
)
VERDICT = (
    "Of the scans in which every fitting scanner took part the latest, whatever the "
    "bytes were called, without what belongs to one target (baselines, waivers). Made "
    "anew for every request: `If-None-Match` answers 304 only while all of it still "
    "holds. After a new version of the policy or other rules a pass is answered as "
    "`inconclusive` (`is_current` is false) until the bytes are scanned again."
)
WAIVE = (
    "A waiver is made and deleted and never edited. It covers the finding in every "
    "scan that is judged from now until `expires_at`; a verdict that was given before "
    "stays, so scan again. Without `target` it holds for all targets. A "
    "fingerprint names a weakness at its place and not the bytes: others may have it."
)
WAIVERS = [
    OpenApiExample(
        "Accepted on one target for a quarter",
        {
            "fingerprint": f"v1:{'8c5b0a67' * 8}",
            "target": "ranker.pkl",
            "reason": "Only ever loaded in the sandboxed trainer, see RISK-142",
            "expires_at": "2027-03-31T00:00:00Z",
        },
        request_only=True,
    ),
]
REPORT = (
    "Written from the rows while it is sent, however many findings there are. 409 "
    "while the scan is queued or running. Waived findings stay in, marked as such; "
    "what was not examined is said. `docs/exports.md` describes each format."
)
SBOM = (
    "The scanned files or MCP servers with their SHA-256, and the findings as "
    "vulnerabilities. Written from the rows while it is sent. 409 while the scan is "
    "not finished, and where nothing was examined."
)
PREFER = OpenApiParameter(
    "Prefer",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="`wait=N`: hold the answer up to N seconds (at most 60).",
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The `ETag` of an earlier answer: 304 when nothing has changed.",
)
SUBMISSIONS = [
    OpenApiExample(
        "A model on the server",
        {"scan_type": "model", "target": "/models/a.pkl"},
        request_only=True,
        media_type="application/json",
    ),
    OpenApiExample(
        "An MCP configuration",
        {
            "scan_type": "mcp",
            "target": "github-server",
            "config": {
                "mcpServers": {"github": {"command": "npx", "args": ["gh-mcp"]}}
            },
        },
        request_only=True,
        media_type="application/json",
    ),
    OpenApiExample(
        "An MCP server that is asked for its lists",
        {
            "scan_type": "mcp",
            "target": "weather-server",
            "server_url": "https://mcp.example.com/mcp",
            "headers": {"Authorization": "Bearer <token>"},
        },
        request_only=True,
        media_type="application/json",
    ),
    OpenApiExample(
        "A tool list",
        {
            "scan_type": "mcp",
            "target": "adder",
            "tools": [{"name": "add", "description": "Adds two numbers."}],
        },
        request_only=True,
        media_type="application/json",
    ),
]
# The form as it travels: files, and texts that the server gives their types.
UPLOAD_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["scan_type", "file"],
    "properties": {
        "scan_type": {"type": "string", "enum": ["model", "mcp"]},
        "file": {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "description": "Repeatable; names may be relative paths. A single .zip, "
            ".whl, .tar, .tar.gz, .tar.xz, .tar.bz2 or .7z is unpacked. For mcp one "
            "configuration file, also as `config`.",
        },
        "target": {
            "type": "string",
            "maxLength": 500,
            "description": "What this is called. Default: the first file's base name.",
        },
        "policy": {"type": "string", "maxLength": 100, "default": "default"},
        "scanners": {
            "type": "string",
            "description": "Names with commas between; may also be repeated.",
        },
        "timeout_seconds": {"type": "integer", "minimum": 1},
        "labels": {"type": "string", "description": 'A JSON object: `{"team": "a"}`.'},
        "introspect": {
            "type": "boolean",
            "default": False,
            "description": "Start the servers of `config` and ask for their lists.",
        },
        "introspect_network": {
            "type": "boolean",
            "default": False,
            "description": "Let these servers contact the internet, through a checked "
            "proxy. Only with `introspect`.",
        },
    },
}


def _document(name: str, media_type: str, value: Any) -> OpenApiExample:
    return OpenApiExample(name, value, response_only=True, media_type=media_type)


# One finding each, shortened; `docs/exports.md` has whole ones.
REPORTS = {
    "json": [
        _document(
            "A failed scan",
            "application/json",
            {
                "$schema": "urn:sentrascan:schema:report:1",
                "scan_id": "019ab1c2-d3e4-7000-8000-0123456789ab",
                "target": "malicious.pkl",
                "verdict": "fail",
                "findings": [{"rule": "modelaudit:S201", "severity": "critical"}],
            },
        )
    ],
    "sarif": [
        _document(
            "One result",
            "application/sarif+json",
            {
                "version": "2.1.0",
                "runs": [
                    {
                        "tool": {"driver": {"name": "modelaudit"}},
                        "results": [{"ruleId": "modelaudit:S201", "level": "error"}],
                    }
                ],
            },
        )
    ],
    "csv": [
        _document(
            "One finding",
            "text/csv",
            "finding_id,scan_id,target,...\r\n019ab1c2-...,019ab1c2-...,a.pkl,...\r\n",
        )
    ],
    "html": [_document("The page", "text/html", "<!doctype html>...")],
    "junit": [
        _document(
            "One failed scanner",
            "application/xml",
            '<testsuites name="SentraScan" tests="1" failures="1" errors="0">...',
        )
    ],
    "defectdojo": [
        _document(
            "One finding",
            "application/json",
            {
                "name": "SentraScan of malicious.pkl",
                "type": "SentraScan",
                "findings": [
                    {
                        "title": "Dangerous import os.system",
                        "severity": "Critical",
                        "description": "...",
                        "unique_id_from_tool": "v1:6f1e...",
                        "vuln_id_from_tool": "modelaudit:S201",
                    }
                ],
            },
        )
    ],
}

SBOMS = [
    _document(
        "One file",
        "application/vnd.cyclonedx+json",
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "components": [{"type": "file", "name": "malicious.pkl"}],
            "vulnerabilities": [{"id": "modelaudit:S201"}],
        },
    )
]
