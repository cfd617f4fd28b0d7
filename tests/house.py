"""The limits of the house that no linter knows: `python -m tests.house`.

Standard library only, so that `make lint` needs neither Django nor a database.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
ROOMS = ("apikeys", "benchmarks", "deploy", "scanners", "scans", "sentrascan_project")
FILE_LINES, FUNCTION_LINES = 400, 40
# What silences a checker, with the rules that it names.
MARK = re.compile(
    r"#\s*(?:noqa\b:?[A-Z0-9, ]*|nosec\b[B0-9, ]*|type:\s*ignore(?:\[[^]]*\])?"
    r"|(?:pragma|pyright|pylint|mypy|ruff):\s*\S+(?:\s+cover)?)"
)
REASON = re.compile(r"[^\W\d_]{2}")
NAMELESS = frozenset({"utils", "helpers", "services", "common", "misc", "base"})


def python_files(project: Path) -> Iterator[Path]:
    """Yield every Python file that people write; migrations are made by Django."""
    yield from project.glob("*.py")
    for room in (*ROOMS, "tests"):
        for path in sorted((project / room).rglob("*.py")):
            if "migrations" not in path.parts and "__pycache__" not in path.parts:
                yield path


def breaches(project: Path = PROJECT) -> list[str]:
    """Return one line for each file, function or name beyond the limits."""
    found: list[str] = []
    for path in python_files(project):
        place = path.relative_to(project)
        text = path.read_text(encoding="utf-8")
        if (lines := len(text.splitlines())) > FILE_LINES:
            found.append(f"{place}: {lines} lines, at most {FILE_LINES}")
        # A package called so hides as much as a module does.
        if NAMELESS & {*place.parts[:-1], place.stem}:
            found.append(f"{place}: a name that says nothing")
        found += [f"{place}:{breach}" for breach in _long_functions(ast.parse(text))]
        found += [f"{place}:{breach}" for breach in _marks_without_reason(text)]
    return found


def _long_functions(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                size = f"{lines} lines, at most {FUNCTION_LINES}"
                yield f"{node.lineno}: {node.name} has {size}"


def _marks_without_reason(text: str) -> Iterator[str]:
    """Yield the comments that silence a checker and do not say why on their line."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and MARK.search(token.string):
            said = MARK.sub("", token.string)
            if not REASON.search(said):
                yield f"{token.start[0]}: {token.string} gives no reason"


if __name__ == "__main__":
    for breach in (all_breaches := breaches()):
        sys.stdout.write(f"{breach}\n")
    sys.exit(bool(all_breaches))
