"""Lists the rules of the tool whose Python this runs under, from its own registries.

Standard library only until the tool is imported. What a tool keeps in no registry is
read from its source as a syntax tree: which words it can give to a finding.

    rule_listing.main TOOL    writes report.json: a list of code, title, severity, from
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

REPORT = "report.json"
CVE = re.compile(r"CVE-\d{4}-\d{4,}")

type Entry = dict[str, str]


def main() -> int:
    """Write the rules of the tool named on the command line; return an exit code."""
    rules = {entry["code"]: entry for entry in LISTINGS[sys.argv[1]]()}
    listed = [rules[code] for code in sorted(rules)]
    Path(REPORT).write_text(json.dumps(listed), encoding="utf-8")
    return 0


def _modelaudit() -> Iterator[Entry]:
    registry = import_module("modelaudit.rules").RuleRegistry.get_all_rules()
    for code, rule in registry.items():
        severity = rule.default_severity.value
        yield _entry(code, rule.name, "rule registry", severity)
    # A finding without a code of the registry is known by who made it: an issue is of
    # the type `<scanner>_check`.
    scanners = import_module("modelaudit.scanner_registry_metadata")
    for name, facts in scanners.get_scanner_registry_metadata().items():
        yield _entry(f"{name}_check", facts["description"], "scanner registry")
    for tree in _trees("modelaudit"):
        yield from _modelaudit_words(tree)
    pickles = find_spec("modelaudit_picklescan")
    if pickles is not None:
        for tree in _trees("modelaudit_picklescan"):
            yield from _keywords(tree, ("rule_code",), "source")


def _modelaudit_words(tree: ast.AST) -> Iterator[Entry]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="Issue")):
                yield from _keywords(node, ("type",), "source", inner=False)
            case ast.Call(func=ast.Name(id="ScanResult")):
                for entry in _keywords(node, ("scanner_name",), "source", inner=False):
                    yield {**entry, "code": f"{entry['code']}_check"}
            case ast.Call():
                yield from _keywords(node, ("issue_type",), "source", inner=False)
            case ast.Constant(value=str(text)) if CVE.fullmatch(text):
                yield _entry(text, text, "source")


def _mcp_checkpoint() -> Iterator[Entry]:
    described = {}
    for tree in _trees("mcp_checkpoint"):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name.endswith("_description"):
                described.update(_texts(node))
    for tree in _trees("mcp_checkpoint"):
        named = _constants(tree)
        for node in ast.walk(tree):
            for word in _arguments(node, "issue_type"):
                kind = _text_of(word, named)
                if kind:
                    yield _entry(kind, described.get(kind, kind), "source")


def _cisco() -> Iterator[Entry]:
    package = _home("mcpscanner")
    yara = import_module("yara")
    for path in sorted((package / "data" / "yara_rules").glob("*.yara")):
        for rule in yara.compile(filepath=str(path)):
            threat = rule.meta.get("threat_type", rule.identifier)
            yield _entry(threat, str(rule.meta.get("description", threat)), "YARA rule")
    threats = import_module("mcpscanner.threats.threats").ThreatMapping.YARA_THREATS
    for threat, facts in threats.items():
        yield _entry(threat, facts["description"], "threats", facts["severity"])
    source = package / "core" / "analyzers" / "schema_reference_analyzer.py"
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "threat_type":
                    kind = _text_of(value, {})
                    yield _entry(kind, kind, "schema analyzer")


def _entry(code: str, title: str, origin: str, severity: str = "") -> Entry:
    return {
        "code": str(code),
        "title": " ".join(str(title).split())[:300],
        "severity": str(severity).lower(),
        "from": origin,
    }


def _home(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{package} is not installed")
    return Path(spec.origin).parent


def _trees(package: str) -> Iterator[ast.AST]:
    for path in sorted(_home(package).rglob("*.py")):
        yield ast.parse(path.read_text("utf-8"))


def _keywords(
    tree: ast.AST, names: tuple[str, ...], origin: str, *, inner: bool = True
) -> Iterator[Entry]:
    """Yield what stands literally behind one of the keywords `names`."""
    for node in ast.walk(tree) if inner else (tree,):
        for name in names:
            for value in _arguments(node, name):
                if text := _text_of(value, {}):
                    yield _entry(text, text, origin)


def _arguments(node: ast.AST, name: str) -> Iterator[ast.expr]:
    if isinstance(node, ast.Call):
        yield from (each.value for each in node.keywords if each.arg == name)


def _text_of(value: ast.expr, named: dict[str, str]) -> str:
    match value:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=[ast.Constant(value=str(text))]):
            return text
        case ast.Name(id=name):
            return named.get(name, "")
    return ""


def _constants(tree: ast.AST) -> dict[str, str]:
    """Return the texts that names of the module stand for."""
    found = {}
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.Assign(
                targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))
            ):
                found[name] = text
    return found


def _texts(function: ast.FunctionDef) -> dict[str, str]:
    """Return the mapping of text to text that a function holds."""
    found = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                match key, value:
                    case ast.Constant(value=str(name)), ast.Constant(value=str(text)):
                        found[name] = text
    return found


LISTINGS: dict[str, Callable[[], Iterator[Any]]] = {
    "modelaudit": _modelaudit,
    "mcp-checkpoint": _mcp_checkpoint,
    "cisco-scanner": _cisco,
}
