"""The elements of a snapshot, and what kind of thing each is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SERVERS, TOOLS, PROMPTS, RESOURCES = "servers", "tools", "prompts", "resources"
INSTRUCTIONS, FILES = "instructions", "files"
SETTINGS = "settings"  # what a configuration lets its servers do unasked
# What names an element of each kind inside its own definition.
NAMES = {
    TOOLS: ("name",),
    PROMPTS: ("name",),
    RESOURCES: ("uri", "uriTemplate", "name"),
}
WHOLE = {INSTRUCTIONS: "The instructions", SETTINGS: "What servers may do unasked"}
NOUNS = {SERVERS: "server", TOOLS: "tool", PROMPTS: "prompt", RESOURCES: "resource"}


@dataclass(frozen=True, slots=True)
class Element:
    """One thing of a target.

    `path` as in `scanners.contract.Element`, `value` its definition as JSON, `server`
    the name of the server that listed it, where that is known.
    """

    path: str
    value: Any
    server: str = ""


def kind_of(path: str, *, is_mcp: bool) -> str:
    if not is_mcp:
        return FILES
    return path.partition("/")[0]


def name_of(element: Element, kind: str) -> str:
    """Return what the element is called, without the `#2` of a second of that name."""
    if kind == SERVERS:
        return element.path.partition("/")[2]
    if key := naming_key(element, kind):
        return str(element.value[key])
    return "" if kind in NAMES else element.path


def naming_key(element: Element, kind: str) -> str:
    """Return the key of its definition that holds the name, "" if none does."""
    if not isinstance(element.value, Mapping):
        return ""
    return next((key for key in NAMES.get(kind, ()) if element.value.get(key)), "")


def label(path: str, *, is_mcp: bool) -> str:
    """Return what people call it: `Tool get_weather`, `model.bin`."""
    head, _, name = path.partition("/")
    if not is_mcp or head not in NOUNS:
        return WHOLE.get(head, path) if is_mcp else path
    return f"{NOUNS[head].capitalize()} {name}"
