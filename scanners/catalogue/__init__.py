"""What SentraScan knows of each tool's rules.

One data file a scanner, `<scanner>.json`:

    {"scanner": "modelaudit", "source": "sentrascan",
     "rules": {"S201": {"severity": "critical", "category": "deserialization",
                        "title": "...", "why": "...", "remediation": "...",
                        "cwe": ["CWE-502"],
                        "owasp_llm": ["LLM03"], "owasp_mcp": [],
                        "atlas": ["AML.T0011.000"]}}}

Severity, category and title are required, the rest may be left out. Severities are
ours: the tools' own scales differ from each other and from rule to rule.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from scanners.contract import Category, Rule, Severity

HERE = Path(__file__).parent
SCANNERS = tuple(sorted(path.stem for path in HERE.glob("*.json")))


def lookup(
    scanner: str,
    code: str,
    *,
    tool_severity: Severity,
    category: Category = Category.OTHER,
    title: str = "",
) -> Rule:
    """Return the rule `code` of `scanner`.

    A code that the data file does not have keeps `tool_severity`, `category` and
    `title`, and is marked `is_catalogued=False`.
    """
    name = canonical(code)
    known = rules_of(scanner).get(name)
    if known is not None:
        return known
    return Rule(
        rule=f"{scanner}:{name}",
        severity=tool_severity,
        category=category,
        title=title or name.replace("_", " ").capitalize(),
        is_catalogued=False,
    )


def canonical(code: str) -> str:
    """Return a rule id as CONTRACT writes it: upper case, blanks as `_`."""
    return "_".join(code.split()).upper()


@cache
def rules_of(scanner: str) -> dict[str, Rule]:
    """Return the catalogued rules of `scanner` by code; none without a data file."""
    path = HERE / f"{scanner}.json"
    if not path.is_file():
        return {}
    entries: dict[str, dict[str, Any]] = json.loads(path.read_text("utf-8"))["rules"]
    return {code: _rule(f"{scanner}:{code}", entry) for code, entry in entries.items()}


def _rule(rule: str, entry: dict[str, Any]) -> Rule:
    return Rule(
        rule=rule,
        severity=Severity[entry["severity"].upper()],
        category=Category(entry["category"]),
        title=entry["title"],
        why=entry.get("why", ""),
        remediation=entry.get("remediation", ""),
        cwe=tuple(entry.get("cwe", ())),
        owasp_llm=tuple(entry.get("owasp_llm", ())),
        owasp_mcp=tuple(entry.get("owasp_mcp", ())),
        atlas=tuple(entry.get("atlas", ())),
    )
