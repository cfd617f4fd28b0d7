"""Words and examples of the policies' schema."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter

POLICY = """\
A document of these keys, all optional, here with their default values:

```yaml
severity_threshold: high          # an unwaived finding at or above fails the gate
block_categories: [code_execution, tool_poisoning, secret_exposure]
allow_rules: []                   # rule ids that never fail, e.g. modelaudit:S302
require_coverage: complete        # complete | partial: gaps make it inconclusive
require_scanners: []              # names that must have completed
only_new: false                   # judge only findings not in the active baseline
drift: {added: fail, removed: warn, renamed: fail, changed: fail}
require_sbom: false
```

An unknown key or value is refused by name. 409 when the name is taken.
"""
REVISE = (
    "The version before stays, and scans go on to name it. With `If-Match` and the "
    "`ETag` of the version that was read, 412 when there is a newer one."
)
_STRICT = {
    "severity_threshold": "medium",
    "require_scanners": ["modelaudit"],
    "drift": {"removed": "fail"},
}
NEW_POLICIES = [
    OpenApiExample(
        "Stricter than the default",
        {"name": "production", "document": _STRICT},
        request_only=True,
    ),
]
REVISIONS = [
    OpenApiExample(
        "One rule is allowed",
        {"document": {**_STRICT, "allow_rules": ["modelaudit:S302"]}},
        request_only=True,
    ),
]
IF_MATCH = OpenApiParameter(
    "If-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The `ETag` of the version that the new one was made from.",
)
DEFAULTS = (
    "A scan that names no policy is judged by the default for its type whose pattern "
    "matches the target's name: the longest pattern decides, of equally long ones the "
    "first in the order of letters. Without any it is the policy `default`. `rescan` "
    "keeps the policy of the scan that it repeats."
)
NEW_DEFAULTS = [
    OpenApiExample(
        "Models of production",
        {"scan_type": "model", "pattern": "/models/prod/*", "policy": "production"},
        request_only=True,
    ),
    OpenApiExample(
        "All MCP targets",
        {"scan_type": "mcp", "policy": "mcp-servers"},
        request_only=True,
    ),
]
WHAT_IF = (
    "Judges the newest 10,000 finished scans again from what is stored: by `document`, "
    "or by the policy's newest version. The baseline is the one that each scan was "
    "compared with, waivers are those in force now. Nothing is changed."
)
QUESTIONS = [
    OpenApiExample(
        "A lower threshold, this year's models",
        {
            "document": {"severity_threshold": "medium"},
            "scan_type": "model",
            "created_after": "2026-01-01T00:00:00Z",
        },
        request_only=True,
    ),
]
