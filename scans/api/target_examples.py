"""Words and examples of the targets' schema."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample

HISTORY = (
    "Each with its verdict and what it changed: findings that are new to the active "
    "baseline, or else to the completed scan before; findings that were open and are "
    "gone; findings that had been resolved and are back. Scans that were cancelled "
    "told nothing and are not in it."
)
FINDINGS = (
    "What is remembered of a target, also when the scans that found it are deleted. A "
    "finding is resolved by a completed scan in which its scanner looked at its place "
    "and did not find it. Where nobody could look it stays open and `is_confirmed` is "
    "false. Found again, it is open again, with the moment it was first seen."
)
_SCAN = "019ab1c2-d3e4-7000-8000-0123456789cd"
_STEP: dict[str, Any] = {
    "scan_id": _SCAN,
    "created_at": "2026-11-27T09:14:03Z",
    "finished_at": "2026-11-27T09:14:09Z",
    "scan_status": "completed",
    "verdict": "fail",
    "passed": False,
    "total_findings": 3,
    "critical_count": 0,
    "high_count": 2,
    "medium_count": 1,
    "low_count": 0,
    "info_count": 0,
    "new_findings": 1,
    "resolved_findings": 2,
    "reopened_findings": 0,
    "baseline_id": None,
    "digest": "8c5b0a67" * 8,
    "policy": {"name": "default", "version": 1},
}


def _answer(name: str, value: Any) -> list[OpenApiExample]:
    return [OpenApiExample(name, value, response_only=True)]


STEPS = _answer("One was mended, one came", _STEP)
TARGETS = _answer(
    "A tool list without a baseline",
    {
        "target_id": "019ab1c2-d3e4-7000-8000-0123456789ab",
        "scan_type": "mcp",
        "name": "github-server",
        "created_at": "2026-10-01T08:00:00Z",
        "last_completed_at": "2026-11-27T09:14:03Z",
        "baseline_id": None,
        "newest_scan": _STEP,
    },
)
MEMORIES = _answer(
    "It came back once",
    {
        "fingerprint": f"v1:{'8c5b0a67' * 8}",
        "scanner": "sentrascan-mcp",
        "rule": "sentrascan-mcp:MCP-SECRET-001",
        "severity": "high",
        "category": "secret_exposure",
        "title": "A secret in the environment of servers/github",
        "location": {
            "path": "servers/github",
            "member": None,
            "line": None,
            "byte_offset": None,
            "server": "github",
            "tool": None,
        },
        "state": "open",
        "is_new": False,
        "is_confirmed": True,
        "first_seen_at": "2026-10-01T08:00:00Z",
        "first_scan_id": "019ab1c2-d3e4-7000-8000-0123456789ab",
        "last_seen_at": "2026-11-27T09:14:03Z",
        "last_scan_id": _SCAN,
        "resolved_at": None,
        "resolved_scan_id": None,
        "reopened_at": "2026-11-20T10:00:00Z",
        "times_reopened": 1,
        "waived": False,
        "waiver_id": None,
    },
)
