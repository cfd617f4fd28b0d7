"""What a tool may do, by its schema and its annotations (`MCP-ABILITY-nnn`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from scanners.mcp_rules.matches import Match, Span, shown
from scanners.mcp_rules.servers import escape

COMMAND, SQL = "MCP-ABILITY-001", "MCP-ABILITY-002"
READ_ONLY, HARMLESS, REFERENCE = "MCP-ABILITY-003", "MCP-ABILITY-004", "MCP-ABILITY-005"

MAX_REFERENCES = 20
_COMMAND = frozenset(
    {
        "command",
        "cmd",
        "shell",
        "bash",
        "script",
        "code",
        "shell_command",
        "commandline",
    }
    | {
        "command_line",
        "python_code",
        "javascript",
        "js",
        "python",
        "powershell",
        "eval",
    }
    | {"shellcommand", "source_code", "cmdline", "exec"}
)
_RUNS = re.compile(
    r"(?i)\b(?:run|exec\w*|eval\w*|launch|spawn|shell|terminal|bash|interpret\w*|script)"
)
_SQL = frozenset(
    {"sql", "sql_query", "raw_sql", "sqlquery", "statement", "sql_statement"}
)
_VERB = r"(?i)(?:^|[_\-. ])(?:%s)(?=$|[_\-. ])"
_DESTROYING = "delete|remove|drop|destroy|purge|wipe|erase|truncate|overwrite|terminate"
_CHANGING = (
    "write|update|create|insert|send|upload|post|publish|execute|run|exec|kill|move"
    "|rename|deploy|transfer|pay|revoke|grant|format|reset|install|uninstall"
)
_CHANGES = re.compile(_VERB % f"{_DESTROYING}|{_CHANGING}")
_DESTROYS = re.compile(_VERB % f"{_DESTROYING}|format|uninstall")
_FAR = re.compile(r"(?i)(?:https?:)?//(?!(?:www\.)?json-schema\.org/)\S")


def find(tool: Any, element: str) -> Iterator[Match]:
    """Yield what is worth knowing before `tool` is allowed."""
    if not isinstance(tool, Mapping):
        return
    name = tool.get("name")
    name = name if isinstance(name, str) else ""
    words = _spaced(name)
    yield from _parameters(tool, element, words)
    yield from _annotations(tool, element, words)
    for key in ("inputSchema", "outputSchema"):
        yield from _references(tool.get(key), f"{element}/{key}", element)


def _spaced(name: str) -> str:
    """Return the words of a name: deleteFile is two."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name[:200])


def _parameters(tool: Mapping[str, Any], element: str, words: str) -> Iterator[Match]:
    schema = tool.get("inputSchema")
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping):
        return
    description = tool.get("description")
    said = f"{words.replace('_', ' ')} {description}" if description else words
    for name, value in properties.items():
        if not isinstance(value, Mapping) or {"enum", "const", "pattern"} & set(value):
            continue
        if value.get("type") not in ("string", None, "array"):
            continue
        plain = _spaced(name).lower()
        rule, sign = "", ""
        if plain in _COMMAND and _RUNS.search(said[:2000]):
            rule, sign = COMMAND, "commands or code of any kind"
        elif plain in _SQL:
            rule, sign = SQL, "SQL of any kind"
        if rule:
            pointer = f"{element}/inputSchema/properties/{escape(name)}"
            span = Span(0, len(name), sign, shown(name))
            field = f"parameter {name}"
            yield Match(rule, pointer, element, field, (span,), key=name)


def _annotations(tool: Mapping[str, Any], element: str, words: str) -> Iterator[Match]:
    annotations = tool.get("annotations")
    if not isinstance(annotations, Mapping):
        return
    for key, value, pattern, rule in (
        ("readOnlyHint", True, _CHANGES, READ_ONLY),
        ("destructiveHint", False, _DESTROYS, HARMLESS),
    ):
        if annotations.get(key) is value and (found := pattern.search(words)):
            verb = found[0].strip("_-. ")
            span = Span(
                0, len(words), f"{key} on a tool that says {verb}", shown(words)
            )
            pointer = f"{element}/annotations/{key}"
            yield Match(rule, pointer, element, key, (span,), key=key)


def _references(node: Any, pointer: str, element: str) -> Iterator[Match]:
    queue, found = [(node, pointer)], 0
    while queue and found < MAX_REFERENCES:
        value, place = queue.pop()
        if isinstance(value, Mapping):
            target = value.get("$ref")
            if isinstance(target, str) and _FAR.match(target):
                found += 1
                span = Span(0, len(target), "a schema elsewhere", shown(target))
                here = f"{place}/$ref"
                yield Match(REFERENCE, here, element, "$ref", (span,), key=target[:200])
            queue += [(v, f"{place}/{escape(k)}") for k, v in value.items()]
        elif isinstance(value, list):
            queue += [(v, f"{place}/{n}") for n, v in enumerate(value)]
