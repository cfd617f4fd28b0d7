"""Writes the pages about variables: `python -m sentrascan_project.configuration`.

With `--check` it writes nothing, names what is stale, and exits 1 for it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap

from sentrascan_project.variables import GROUPS, Group, Kind, Variable

PROJECT = Path(__file__).resolve().parent.parent
TYPES = {
    Kind.TEXT: "text",
    Kind.NUMBER: "whole number",
    Kind.SWITCH: "0 or 1",
    Kind.LIST: "list, with commas",
    Kind.AGE: "age: `12h`, `90d`, `8w`",
    Kind.SECRET: "text (a secret)",
}
PAGE_HEAD = """\
# Configuration

Every variable of the environment. This page is written from
`sentrascan_project/variables.toml` by `make docs`, and the settings read the same
table: a default here is the default.

SentraScan is configured by its environment alone, which each process reads once, at its
start: restart what runs after a change (`docker-compose up -d`, or Ctrl-C and
`make run`). A value that cannot be ends the start with one line that names the
variable. [`.env.example`](../.env.example) is this page as a file to copy; compose
reads a file called `.env`.

Secrets may come from a file: set `NAME_FILE` to its path instead of `NAME`. Where the
third column is no value, it says what leaving the variable unset means.
"""
EXAMPLE_HEAD = """\
# Every variable that SentraScan reads, with its default. Copy what you change to the
# environment of the service (docker compose also reads a file called .env).
# A line without a value: unset is the default, and the comment says what that means.
# Secrets may also come from a file: set NAME_FILE to its path instead of NAME.
# Written from sentrascan_project/variables.toml by `make docs`.
"""


def page() -> str:
    """Return docs/configuration.md."""
    return "\n".join([PAGE_HEAD, *(line for one in GROUPS for line in _section(one))])


def example() -> str:
    """Return .env.example."""
    lines = [EXAMPLE_HEAD.rstrip("\n")]
    for group in GROUPS:
        lines += ["", f"# --- {group.title}"]
        for variable in group.variables:
            lines += [*_comment(variable), f"#{variable.name}={variable.default}"]
    return "\n".join([*lines, ""])


def _section(group: Group) -> Iterator[str]:
    yield f"## {group.title}\n"
    yield "| variable | type | default | unit | meaning |"
    yield "|---|---|---|---|---|"
    for one in group.variables:
        kind = TYPES.get(one.kind, " or ".join(f"`{each}`" for each in one.choices))
        default = f"`{one.default}`" if one.default else one.unset
        yield f"| `{one.name}` | {kind} | {default} | {one.unit} | {one.meaning} |"
    yield ""


def _comment(one: Variable) -> list[str]:
    said = one.meaning
    if one.choices:
        said += f" One of {', '.join(one.choices)}."
    if one.unit:
        said += f" In {one.unit}." if one.unit in {"bytes", "seconds"} else ""
    if one.kind is Kind.SECRET:
        said += " A secret."
    if not one.default:
        said += f" Default: {one.unset}."
    return [f"# {line}" for line in wrap(said, 86, break_on_hyphens=False)]


PAGES = {
    PROJECT / "docs" / "configuration.md": page,
    PROJECT / ".env.example": example,
}


def main(*arguments: str) -> int:
    stale = [
        path
        for path, text in PAGES.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text()
    ]
    for path in stale:
        sys.stdout.write(f"{path.relative_to(PROJECT)}\n")
        if "--check" not in arguments:
            path.write_text(PAGES[path](), encoding="utf-8")
    return int("--check" in arguments and bool(stale))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
