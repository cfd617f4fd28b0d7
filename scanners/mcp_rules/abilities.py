"""What a tool may do, by its schema and its annotations (`MCP-ABILITY-nnn`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from scanners.mcp_rules.matches import Match, Span, shown
from scanners.mcp_rules.schemas import KEYS, Node, nodes_of

COMMAND, SQL = "MCP-ABILITY-001", "MCP-ABILITY-002"
READ_ONLY, HARMLESS, REFERENCE = "MCP-ABILITY-003", "MCP-ABILITY-004", "MCP-ABILITY-005"
PATH, ADDRESS, TEMPLATE = "MCP-ABILITY-006", "MCP-ABILITY-007", "MCP-ABILITY-008"
OPEN, ENDLESS, OUTSIDE = "MCP-ABILITY-009", "MCP-ABILITY-010", "MCP-ABILITY-011"

MAX_REFERENCES = 20
MAX_PARAMETERS = 40  # of one tool
_COMMAND = frozenset(
    {"command", "cmd", "shell", "bash", "script", "code", "shell_command", "exec"}
    | {"command_line", "commandline", "python_code", "javascript", "js", "python"}
    | {"powershell", "eval", "shellcommand", "source_code", "cmdline"}
)
_RUNS = re.compile(
    r"(?i)\b(?:run|exec\w*|eval\w*|launch|spawn|shell|terminal|bash|interpret\w*|script)"
)
_SQL = frozenset(
    {"sql", "sql_query", "raw_sql", "sqlquery", "statement", "sql_statement"}
)
_PATH = frozenset(
    {"path", "paths", "file_path", "filepath", "file_paths", "filename", "file_name"}
    | {"directory", "dir", "folder", "folder_path", "output_path", "input_path", "cwd"}
    | {"local_path", "source_path", "destination_path", "target_path", "repo_path"}
    | {"working_directory", "workdir", "output_file", "input_file", "absolute_path"}
)
_ADDRESS = frozenset(
    {"url", "urls", "uri", "link", "webhook", "webhook_url", "callback_url", "endpoint"}
    | {"base_url", "image_url", "page_url", "target_url", "feed_url", "source_url"}
)
_TEMPLATE = frozenset(
    {"template", "template_string", "jinja", "jinja_template", "handlebars", "mustache"}
    | {"expression", "formula", "format_string", "template_text"}
)
_RENDERS = re.compile(
    r"(?i)\b(?:render|evaluat|interpolat|comput|calculat|substitut)\w*|\bjinja2?\b"
)
# A parameter's names, what the tool has to say, its rule and what it takes.
_TAKEN: tuple[tuple[frozenset[str], re.Pattern[str] | None, str, str], ...] = (
    (_COMMAND, _RUNS, COMMAND, "commands or code of any kind"),
    (_SQL, None, SQL, "SQL of any kind"),
    (_PATH, None, PATH, "any path"),
    (_ADDRESS, None, ADDRESS, "any address"),
    (_TEMPLATE, _RENDERS, TEMPLATE, "a template of any kind"),
)
_AMOUNT = re.compile(
    r"(?:^|_)(?:limit|count|max|amount|quantity|size|depth|timeout|retries|iterations"
    r"|width|height|duration|seconds|minutes|length|total|budget|threads|workers)(?:_|$)"
)
_UPPER = frozenset({"maximum", "exclusiveMaximum", "enum", "const"})
_OBJECT = frozenset(
    {"properties", "patternProperties", "additionalProperties", "$ref", "propertyNames"}
    | {"anyOf", "oneOf", "allOf", "enum", "const", "maxProperties"}
)
_VERB = r"(?i)(?:^|[_\-. ])(?:%s)(?=$|[_\-. ])"
_DESTROYING = "delete|remove|drop|destroy|purge|wipe|erase|truncate|overwrite|terminate"
_CHANGING = (
    "write|update|create|insert|send|upload|post|publish|execute|run|exec|kill|move"
    "|rename|deploy|transfer|pay|revoke|grant|format|reset|install|uninstall"
)
_CHANGES = re.compile(_VERB % f"{_DESTROYING}|{_CHANGING}")
_DESTROYS = re.compile(_VERB % f"{_DESTROYING}|format|uninstall")
_GOES_OUT = re.compile(
    _VERB % "fetch|browse|crawl|scrape|download|web|http|internet|email|webhook|tweet"
)
# How a description begins: "Permanently deletes the file." What it does to a text that
# it was given ("Removes accents from a text") changes nothing.
_BEGINS = (
    r"(?i)\W{0,4}(?:(?:this (?:tool|function)|it|permanently|will) ){0,2}(%s)\b"
    r"[^.\n]{0,40}?\b(?:file|folder|director|record|row|table|database|user|account"
    r"|message|e?mail|event|issue|ticket|repositor|branch|bucket|page|note|order"
    r"|customer|contact|volume|container|project|secret|key|disk|server|log|backup)"
)
_SAYS_CHANGES = re.compile(
    _BEGINS % "(?:delet|remov|eras|overwrit|terminat|updat|renam|mov)es?|(?:drop"
    "|destroy|wipe|truncate|insert|send|upload|publish|deploy|install|purge|write)s?"
)
_SAYS_DESTROYS = re.compile(
    _BEGINS % "(?:delet|remov|eras|overwrit|terminat)es?|(?:drop|destroy|wipe|purge)s?"
)
_FAR = re.compile(r"(?i)(?:(?:https?|ftp|file):)?//(?!(?:www\.)?json-schema\.org/)\S")
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef", "$schema")


def find(tool: Any, element: str) -> Iterator[Match]:
    """Yield what is worth knowing before `tool` is allowed."""
    if not isinstance(tool, Mapping):
        return
    name = tool.get("name")
    name = name if isinstance(name, str) else ""
    words = _spaced(name)
    nodes = [
        (key, list(nodes_of(tool[key], f"{element}/{key}")))
        for key in KEYS
        if key in tool
    ]
    for key, of_one in nodes:
        if key != "outputSchema":
            yield from _parameters(tool, element, words, of_one)
            yield from _open(of_one, element)
    yield from _annotations(tool, element, words)
    for _, of_one in nodes:
        yield from islice(_references(of_one, element), MAX_REFERENCES)


def _spaced(name: str) -> str:
    """Return the words of a name: deleteFile is two."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name[:200])


def _parameters(
    tool: Mapping[str, Any], element: str, words: str, nodes: Sequence[Node]
) -> Iterator[Match]:
    description = tool.get("description")
    said = f"{words.replace('_', ' ')} {description}" if description else words
    endless: list[str] = []
    count = 0
    for node in nodes:
        if not node.name or count >= MAX_PARAMETERS:
            continue
        plain = _spaced(node.name).lower()
        if _is_endless(node, plain):
            endless.append(node.name)
        for names, has_to_say, rule, sign in _TAKEN:
            if plain not in names or not node.is_free_text:
                continue
            if has_to_say is None or has_to_say.search(said[:2000]):
                count += 1
                span = Span(0, len(node.name), sign, shown(node.name))
                field = f"parameter {node.name}"
                yield Match(rule, node.pointer, element, field, (span,), key=node.name)
    if endless:
        spans = tuple(Span(0, len(n), "no upper bound", shown(n)) for n in endless[:6])
        yield Match(ENDLESS, element, element, "parameters", spans, key="endless")


def _is_endless(node: Node, plain: str) -> bool:
    """Whether a parameter is an amount that nothing limits."""
    if node.value.get("type") not in ("integer", "number"):
        return False
    return bool(_AMOUNT.search(plain)) and _UPPER.isdisjoint(node.value)


def _open(nodes: Sequence[Node], element: str) -> Iterator[Match]:
    """Yield where a schema takes an object with anything in it."""
    for node in nodes:
        is_open = node.value.get("additionalProperties") is True
        is_any = node.value.get("type") == "object" and node.name
        if is_open or (is_any and _OBJECT.isdisjoint(node.value)):
            place = node.name or "the schema"
            span = Span(0, len(place), "an object of any kind", shown(place))
            field = f"parameter {node.name}" if node.name else "schema"
            yield Match(OPEN, node.pointer, element, field, (span,), key=place[:200])


def _annotations(tool: Mapping[str, Any], element: str, words: str) -> Iterator[Match]:
    annotations = tool.get("annotations")
    if not isinstance(annotations, Mapping):
        return
    description = tool.get("description")
    said = description[:400] if isinstance(description, str) else ""
    for key, value, pattern, begins, rule in (
        ("readOnlyHint", True, _CHANGES, _SAYS_CHANGES, READ_ONLY),
        ("destructiveHint", False, _DESTROYS, _SAYS_DESTROYS, HARMLESS),
        ("openWorldHint", False, _GOES_OUT, None, OUTSIDE),
    ):
        if annotations.get(key) is not value:
            continue
        found, text = pattern.search(words), words
        verb = found[0].strip("_-. ") if found else ""
        if begins and not found and (found := begins.match(said)):
            verb, text = found[1].lower(), found[0]
        if found:
            sign = f"{key} on a tool that says {verb}"
            span = Span(0, len(text), sign, shown(text))
            pointer = f"{element}/annotations/{key}"
            yield Match(rule, pointer, element, key, (span,), key=key)
    if annotations.get("readOnlyHint") is annotations.get("destructiveHint") is True:
        sign = "readOnlyHint beside destructiveHint"
        pointer = f"{element}/annotations/destructiveHint"
        span = Span(0, len(words), sign, shown(words))
        yield Match(READ_ONLY, pointer, element, "destructiveHint", (span,), key="both")


def _references(nodes: Sequence[Node], element: str) -> Iterator[Match]:
    for node in nodes:
        for key in _REFERENCES:
            target = node.value.get(key)
            if isinstance(target, str) and _FAR.match(target):
                span = Span(0, len(target), "a schema elsewhere", shown(target))
                here = f"{node.pointer}/{key}"
                yield Match(REFERENCE, here, element, key, (span,), key=target[:200])
