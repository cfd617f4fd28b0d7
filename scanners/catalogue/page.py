"""The page of our MCP engine's rules: `python -m scanners.catalogue.page`."""

from __future__ import annotations

from pathlib import Path

from scanners.catalogue import rules_of
from scanners.contract import Rule

PAGE = Path(__file__).resolve().parents[2] / "docs" / "rules.md"
HEAD = """# Rules of `sentrascan-mcp`

Written by `python -m scanners.catalogue.page` from
`scanners/catalogue/sentrascan-mcp.json`: change that, not this page.
"""


def page() -> str:
    """Return the page in Markdown."""
    rules = rules_of("sentrascan-mcp")
    return "\n".join([HEAD, *(_section(code, rule) for code, rule in rules.items())])


def _section(code: str, rule: Rule) -> str:
    names = [*rule.cwe, *rule.owasp_llm, *rule.owasp_mcp, *rule.atlas]
    why = f"{rule.why}\n\n" if rule.why else ""
    return (
        f"## {code}: {rule.title}\n\n"
        f"{rule.severity.name.lower()} · `{rule.category}` · {', '.join(names)}\n\n"
        f"{why}**What to do.** {rule.remediation}\n"
    )


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
