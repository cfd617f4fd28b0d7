"""What mcp-checkpoint is given: a submitted document in the form that it reads whole.

`adapters/mcp_checkpoint.py` says why each form is what it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from scanners.documents import paths_of
from scanners.mcp_rules.servers import located_servers
from scanners.numbered_json import Line, numbered_lines

GROUP = 100  # elements a run
READ_OF_A_TOOL = frozenset({"name", "description", "inputSchema"})
TRANSPORTS = frozenset({"stdio", "http", "sse"})


class Item(NamedTuple):
    """One replayed element; `key` is how the tool's report calls it."""

    path: str
    kind: str  # "tools" or "resources"
    key: str
    entry: dict[str, Any]


def config_lines(document: Mapping[str, Any]) -> list[Line]:
    """Return the configuration as the tool is to see it, one value a line."""
    paths = paths_of(document)["servers"]
    servers = {
        path.partition("/")[2]: _disabled(server.value)
        for path, server in zip(paths, located_servers(document), strict=True)
    }
    return numbered_lines({"mcpServers": servers}) if servers else []


def _disabled(server: Mapping[str, Any]) -> dict[str, Any]:
    # `disabled` is what keeps the tool from starting it. A transport it does not know
    # makes it leave the server out; nothing is connected here, so none is needed.
    shown = {
        f"submitted {key}" if _unreadable(key, value) else key: value
        for key, value in server.items()
        if key not in ("disabled", "enabled")
    }
    return {**shown, "disabled": True}


def _unreadable(key: str, value: Any) -> bool:
    if key in ("type", "transport"):
        return not isinstance(value, str) or value.lower() not in TRANSPORTS
    return key == "args" and not isinstance(value, list)


def groups_of(document: Mapping[str, Any]) -> list[list[Item]]:
    """Return what is replayed, in groups that the tool can compare in time."""
    paths = paths_of(document)
    items = [
        _tool(path, entry)
        for path, entry in zip(paths["tools"], document.get("tools") or [], strict=True)
    ]
    for kind in ("prompts", "resources"):
        entries = document.get(kind) or []
        items += [
            _resource(path, f"replay:///{kind}/{number}", entry)
            for number, (path, entry) in enumerate(
                zip(paths[kind], entries, strict=True)
            )
        ]
    if text := document.get("instructions"):
        entry = {"name": "instructions", "description": text}
        items.append(_resource("instructions", "replay:///instructions", entry))
    return [items[start : start + GROUP] for start in range(0, len(items), GROUP)]


def _tool(path: str, entry: Mapping[str, Any]) -> Item:
    """The report calls a tool by name only, so a name that is not unique is replaced.

    Of a tool only these fields are read; what else it has stands in `outputSchema`.
    """
    name = path.partition("/")[2]
    rest = {key: value for key, value in entry.items() if key not in READ_OF_A_TOOL}
    if entry.get("name", name) != name:
        rest["name"] = entry["name"]
    schema = entry.get("inputSchema")
    shown: dict[str, Any] = {
        "name": name,
        "description": _text(entry.get("description", "")),
        "inputSchema": schema if isinstance(schema, dict) else {"inputSchema": schema},
    }
    if rest:
        shown["outputSchema"] = rest
    return Item(path, "tools", name, shown)


def _resource(path: str, key: str, entry: Mapping[str, Any]) -> Item:
    texts = [_text(entry.get("description", ""))]
    texts += [
        f"{name}: {_text(value)}"
        for name, value in entry.items()
        if name not in ("name", "description")
    ]
    shown = {
        "uri": key,
        "name": entry.get("name") or path,
        "description": "\n".join(texts),
        "mimeType": "text/plain",
    }
    return Item(path, "resources", key, shown)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, indent=1)
