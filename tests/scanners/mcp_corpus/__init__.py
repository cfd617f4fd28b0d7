"""A labelled corpus of MCP documents, written by us from published classes of attack.

`development` is what rules may be tuned on. `held_out` was written before there was any
rule, in other words and scenes: look at its totals only, never at what was missed.

    <half>/<malicious|benign>/<family>.yaml

is a list of cases, each in a short form that `cases` writes out:

    {tool: name, says: description, with: {parameter: description or schema}, extra: {}}
    {prompt: name, says: description, with: {argument: description}}
    {resource: uri, name: name, says: description}
    {instructions: text}  {tools: [...]}  {config: {...}}  {server: {...}}

`{{kind|text}}` in any text stands for `text` in one of `HIDDEN`: so a person can still
read what a model is told.
"""

from __future__ import annotations

import base64
import codecs
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

HERE = Path(__file__).parent
HALVES = ("development", "held_out")
KINDS = ("malicious", "benign")
_MACRO = re.compile(r"\{\{(\w+)\|(.*?)\}\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Case:
    """One labelled document of the shape of `Target.document`."""

    half: str
    kind: str
    family: str
    number: int
    document: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.half}/{self.kind}/{self.family}#{self.number}"


@cache
def cases(half: str, kind: str) -> tuple[Case, ...]:
    """Return the cases of one half, in the order of their files."""
    return tuple(
        Case(half, kind, path.stem, number, document_of(short))
        for path in sorted((HERE / half / kind).glob("*.yaml"))
        for number, short in enumerate(yaml.safe_load(path.read_text("utf-8")), 1)
    )


def document_of(short: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document that the short form `short` stands for."""
    pieces: dict[str, Any] = {"config": None, "tools": [], "prompts": []}
    pieces |= {"resources": [], "instructions": None}
    match next(iter(short)):
        case "tool":
            pieces["tools"] = [_tool(short)]
        case "prompt":
            pieces["prompts"] = [_prompt(short)]
        case "resource":
            resource = {"uri": short["resource"], "name": short["name"]}
            pieces["resources"] = [{**resource, "description": short["says"]}]
        case "server":
            pieces["config"] = {"mcpServers": {"a": short["server"]}}
        case "config" | "tools" | "instructions" as piece:
            pieces[piece] = short[piece]
        case unknown:
            raise ValueError(f"a case cannot begin with {unknown!r}")
    return dict(_written_out(pieces))


def _tool(short: Mapping[str, Any]) -> dict[str, Any]:
    properties = {
        str(name): value if isinstance(value, Mapping) else _text(value)
        for name, value in short.get("with", {}).items()
    }
    tool = {"name": short["tool"], "description": short["says"]}
    schema = {"type": "object", "properties": properties}
    return {**tool, "inputSchema": schema, **short.get("extra", {})}


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _prompt(short: Mapping[str, Any]) -> dict[str, Any]:
    arguments = [
        {"name": name, "description": text, "required": False}
        for name, text in short.get("with", {}).items()
    ]
    return {"name": short["prompt"], "description": short["says"]} | (
        {"arguments": arguments} if arguments else {}
    )


def _written_out(value: Any) -> Any:
    if isinstance(value, str):
        return _MACRO.sub(lambda match: HIDDEN[match[1]](match[2]), value)
    if isinstance(value, Mapping):
        return {_written_out(k): _written_out(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_written_out(each) for each in value]
    return value


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _selectors(text: str) -> str:
    """Bytes as variation selectors after an emoji, as Paul Butler described it."""
    return "\N{GRINNING FACE}" + "".join(
        chr(0xFE00 + byte if byte < 16 else 0xE0100 + byte - 16)
        for byte in text.encode()
    )


def _zero_width(text: str) -> str:
    bits = "".join(f"{byte:08b}" for byte in text.encode())
    return bits.replace("0", "\u200b").replace("1", "\u200c")


def _tags(text: str) -> str:
    return "".join(chr(0xE0000 + ord(char)) for char in text)


# Put together here, so that no file holds one.
_KEYS = {
    "github": "ghp_" + "a8Kd93Lsm20Fk49Z" + "mq71Pxw5Tn6Bv3CxQ2Rf",
    "random": "a8Kd93Lsm20Fk49Zmq71" + "Pxw5Tn6Bv3CxQ2Rf8Yh1",
    "word": "Tr0ub4dor" + "3x!",
}


HIDDEN: Mapping[str, Callable[[str], str]] = {
    "key": lambda kind: _KEYS[kind],
    "tags": _tags,
    "vs": _selectors,
    "zw": _zero_width,
    "newlines": lambda count: "\n" * int(count),
    "spaces": lambda count: " " * int(count),
    "b64": _base64,
    "b64x2": lambda text: _base64(_base64(text)),
    "hex": lambda text: text.encode().hex(),
    "url": lambda text: quote(text, safe=""),
    "esc": lambda text: "".join(f"\\u{ord(char):04x}" for char in text),
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "entities": lambda text: "".join(f"&#{ord(char)};" for char in text),
}


def every() -> Iterator[Case]:
    """Yield all cases of both halves."""
    for half in HALVES:
        for kind in KINDS:
            yield from cases(half, kind)
