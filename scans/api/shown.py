"""Examples of answers, one for each kind of thing, that tell one story."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample

_SCAN = "019ab1c2-d3e4-7000-8000-0123456789ab"
_FINGERPRINT = f"v1:{'8c5b0a67' * 8}"
_MADE = {"created_at": "2026-11-27T14:50:00Z", "created_by": "ci"}


def shown(name: str, value: dict[str, Any]) -> list[OpenApiExample]:
    return [OpenApiExample(name, value, response_only=True)]


FINDING = shown(
    "A pickle that runs a program",
    {
        "finding_id": "019ab1c3-0a1b-7000-8000-0123456789ab",
        "scan_id": _SCAN,
        "scanner": "modelaudit",
        "rule": "modelaudit:S201",
        "severity": "critical",
        "category": "deserialization",
        "title": "Found REDUCE opcode invoking dangerous global: posix.system",
        "description": "It runs when the file is loaded.",
        "location": {
            "path": "ranker.pkl",
            "member": None,
            "line": None,
            "byte_offset": 39,
            "server": None,
            "tool": None,
        },
        "evidence": {"opcode": "REDUCE", "import_reference": "posix.system"},
        "remediation": "Do not unpickle this file.",
        "cwe": ["CWE-502"],
        "owasp_llm": ["LLM03", "LLM04"],
        "owasp_mcp": [],
        "atlas": ["AML.T0011.000", "AML.T0018.002"],
        "fingerprint": _FINGERPRINT,
        "is_new": True,
        "waived": False,
        "waiver_id": None,
        "created_at": "2026-11-27T14:50:00Z",
    },
)
_BASELINE = {
    "baseline_id": "019ab1c4-0000-7000-8000-0123456789ab",
    "scan_id": _SCAN,
    "scan_type": "mcp",
    "target": "weather-server",
    "name": "release 1.4",
    "description": "Reviewed with its authors",
    "status": "active",
    "is_active": True,
    "digest": "5a26cad9" * 8,
    **_MADE,
    "approved_at": "2026-11-27T15:00:00Z",
    "approved_by": "ann",
    "retired_at": None,
    "retired_by": "",
}
BASELINE = shown("In force", _BASELINE)
BASELINE_DETAIL = shown(
    "In force, with what it holds",
    {
        **_BASELINE,
        "elements": [
            {
                "path": "tools/get_weather",
                "size": 161,
                "digest": "9615a842" * 8,
                "definition": {
                    "name": "get_weather",
                    "description": "Returns the weather of a city.",
                },
            }
        ],
    },
)
WAIVER = shown(
    "Accepted on one target for a quarter",
    {
        "waiver_id": "019ab1c5-0000-7000-8000-0123456789ab",
        "fingerprint": _FINGERPRINT,
        "target": "ranker.pkl",
        "reason": "Only ever loaded in the sandboxed trainer, see RISK-142",
        "expires_at": "2027-03-31T00:00:00Z",
        "is_expired": False,
        **_MADE,
    },
)
POLICY = shown(
    "Stricter than the default, in its second version",
    {
        "policy_id": "019ab1c6-0000-7000-8000-0123456789ab",
        "name": "production",
        "version": 2,
        "document": {"severity_threshold": "medium", "drift": {"removed": "fail"}},
        **_MADE,
    },
)
POLICY_DEFAULT = shown(
    "Models of production",
    {
        "policy_default_id": "019ab1c7-0000-7000-8000-0123456789ab",
        "scan_type": "model",
        "pattern": "/models/prod/*",
        "policy": "production",
        **_MADE,
    },
)
WHAT_IF = shown(
    "One target would fail",
    {
        "summary": {
            "scans": 120,
            "changed": 1,
            "not_judged": 0,
            "is_complete": True,
            "flips": [{"before": "pass", "after": "fail", "scans": 1}],
            "targets": [
                {
                    "scan_type": "model",
                    "target": "ranker.pkl",
                    "before": "pass",
                    "after": "fail",
                }
            ],
        },
        "changes": [
            {
                "scan_id": _SCAN,
                "target": "ranker.pkl",
                "before": "pass",
                "after": "fail",
            }
        ],
    },
)
VERDICT = shown(
    "Still current",
    {
        "digest": f"sha256:{'5a26cad9' * 8}",
        "scan_id": _SCAN,
        "scan_type": "model",
        "verdict": "pass",
        "passed": True,
        "reasons": [],
        "total_findings": 0,
        "critical_count": 0,
        "high_count": 0,
        "medium_count": 0,
        "low_count": 0,
        "info_count": 0,
        "policy": {"name": "default", "version": 1},
        "created_at": "2026-11-27T14:50:00Z",
        "finished_at": "2026-11-27T14:50:02Z",
        "is_current": True,
    },
)
