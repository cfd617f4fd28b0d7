"""Every text of an MCP document that a model reads. Standard library only.

Names, titles, descriptions, parameters at every depth of a schema with their defaults,
enums and examples, annotations, prompts and their arguments, resources, instructions:
a model is shown all of it, so nothing is left out because it seems to be for machines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from scanners.mcp_rules.servers import escape

LISTS = ("tools", "prompts", "resources")
_SCHEMAS = frozenset({"inputSchema", "outputSchema", "input_schema", "parameters"})
_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions"})
# Words of the protocol and of JSON Schema: as keys they say nothing.
_KNOWN = frozenset(
    {"name", "title", "description", "inputSchema", "outputSchema", "annotations"}
    | {"type", "properties", "required", "items", "enum", "default", "examples"}
    | {"arguments", "uri", "uriTemplate", "mimeType", "size", "icons", "_meta", "src"}
    | {"minimum", "maximum", "minLength", "maxLength", "pattern", "format", "const"}
    | {"additionalProperties", "anyOf", "oneOf", "allOf", "not", "$ref", "$defs"}
    | {"$schema", "$id", "$comment", "definitions", "minItems", "maxItems", "sizes"}
    | {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint", "theme"}
    | {"uniqueItems", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
    | {"patternProperties", "propertyNames", "example", "readOnly", "writeOnly"}
    | {"deprecated"}
)
# What `type` may be, by JSON Schema.
_TYPES = frozenset(
    {"string", "number", "integer", "boolean", "object", "array", "null"}
)


class Role(StrEnum):
    """What a text is to its element."""

    NAME = "name"
    TITLE = "title"
    DESCRIPTION = "description"
    PARAMETER = "parameter name"
    PARAMETER_TEXT = "parameter description"
    VALUE = "value"  # a default, an enum's member, an example, a constant
    OTHER = "other"


class Text(NamedTuple):
    """One text. `pointer` leads to it in the document, `element` to its element.

    The text of a key stands at the pointer of its value.
    """

    value: str
    role: Role
    pointer: str
    element: str
    parameter: str = ""


def texts_of(document: Mapping[str, Any]) -> Iterator[Text]:
    """Yield every text of the lists and of the instructions, in order."""
    for kind in LISTS:
        for position, entry in enumerate(document.get(kind) or []):
            yield from element_texts(entry, f"/{kind}/{position}")
    if instructions := document.get("instructions"):
        where = "/instructions"
        yield Text(str(instructions), Role.DESCRIPTION, where, where)


def element_texts(entry: Any, element: str) -> Iterator[Text]:
    """Yield every text of one tool, prompt or resource."""
    if not isinstance(entry, dict):
        return
    for key, value in entry.items():
        place = f"{element}/{escape(key)}"
        if key == "arguments" and isinstance(value, list):
            yield from _arguments(value, place, element)
        elif key in _SCHEMAS and isinstance(value, dict):
            yield from _schema(value, place, element, "")
        elif isinstance(value, str):
            yield Text(value, _role(key), place, element)
            yield from _key(key, place, element, "")
        else:
            yield from _key(key, place, element, "")
            yield from _any(value, place, element, "")


def _role(key: str) -> Role:
    if key in ("uri", "uriTemplate"):
        return Role.NAME
    return Role(key) if key in ("name", "title", "description") else Role.OTHER


def _arguments(entries: list[Any], place: str, element: str) -> Iterator[Text]:
    """Arguments of a prompt: name, description."""
    for position, entry in enumerate(entries):
        here = f"{place}/{position}"
        name = entry.get("name") if isinstance(entry, dict) else None
        parameter = name if isinstance(name, str) else ""
        if not isinstance(entry, dict):
            yield from _any(entry, here, element, "")
            continue
        for key, value in entry.items():
            inner = f"{here}/{escape(key)}"
            if key == "name" and isinstance(value, str):
                yield Text(value, Role.PARAMETER, inner, element, parameter)
            elif isinstance(value, str):
                yield Text(value, Role.PARAMETER_TEXT, inner, element, parameter)
            else:
                yield from _key(key, inner, element, parameter)
                yield from _any(value, inner, element, parameter)


def _schema(node: Any, place: str, element: str, parameter: str) -> Iterator[Text]:
    if isinstance(node, list):
        for position, child in enumerate(node):
            yield from _schema(child, f"{place}/{position}", element, parameter)
        return
    if not isinstance(node, dict):
        yield from _any(node, place, element, parameter)
        return
    for key, value in node.items():
        here = f"{place}/{escape(key)}"
        if key in _MAPS and isinstance(value, dict):
            for name, child in value.items():
                inner = f"{here}/{escape(name)}"
                yield Text(name, Role.PARAMETER, inner, element, name)
                yield from _schema(child, inner, element, name)
        elif key in ("description", "title", "$comment") and isinstance(value, str):
            yield Text(value, Role.PARAMETER_TEXT, here, element, parameter)
        elif key in ("default", "enum", "examples", "example", "const"):
            yield from _any(value, here, element, parameter, Role.VALUE)
        elif key == "type" and isinstance(value, str) and value in _TYPES:
            continue
        elif isinstance(value, str):
            yield Text(value, Role.OTHER, here, element, parameter)
            yield from _key(key, here, element, parameter)
        else:
            yield from _key(key, here, element, parameter)
            yield from _schema(value, here, element, parameter)


def _any(
    value: Any, place: str, element: str, parameter: str, role: Role = Role.OTHER
) -> Iterator[Text]:
    """Every string below `value`, and every key that is not one of the protocol."""
    if isinstance(value, str):
        yield Text(value, role, place, element, parameter)
    elif isinstance(value, dict):
        for key, child in value.items():
            here = f"{place}/{escape(key)}"
            yield from _key(key, here, element, parameter)
            yield from _any(child, here, element, parameter, role)
    elif isinstance(value, list):
        for position, child in enumerate(value):
            yield from _any(child, f"{place}/{position}", element, parameter, role)


def _key(key: str, place: str, element: str, parameter: str) -> Iterator[Text]:
    if key not in _KNOWN:
        yield Text(key, Role.OTHER, place, element, parameter)
