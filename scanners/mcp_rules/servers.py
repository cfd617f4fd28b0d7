"""Where MCP clients keep their servers. Standard library only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SERVER_KEYS = frozenset({"mcpServers", "mcp_servers", "context_servers"})


@dataclass(frozen=True, slots=True)
class Server:
    """One server of a configuration; `pointer` leads to it inside the configuration."""

    name: str
    pointer: str
    value: dict[str, Any]


def located_servers(document: Mapping[str, Any]) -> list[Server]:
    """Return the configured servers in their order, names as submitted."""
    config = document.get("config")
    if not isinstance(config, Mapping):
        return []
    return [
        Server(name, f"{pointer}/{escape(name)}", dict(value))
        for pointer, servers in server_maps(config)
        if isinstance(servers, Mapping)
        for name, value in servers.items()
        if isinstance(value, Mapping)
    ]


def server_maps(config: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return (pointer, servers) of every place where clients look for servers.

    `mcpServers` may stand at any depth (`projects.<path>.mcpServers`, or as the dotted
    key `amp.mcpServers`); the plain word `servers` only where VS Code reads it.
    """
    found = list(_named_maps(config, ""))
    for pointer, part in (("", config), ("/mcp", config.get("mcp"))):
        if isinstance(part, Mapping) and "servers" in part:
            found.append((f"{pointer}/servers", part["servers"]))
    return found


def _named_maps(node: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(node, Mapping):
        return
    for key, child in node.items():
        here = f"{pointer}/{escape(key)}"
        if key.rpartition(".")[2] in SERVER_KEYS:
            yield here, child
        else:
            yield from _named_maps(child, here)


def escape(key: str) -> str:
    """Return `key` as one token of a JSON pointer (RFC 6901)."""
    if "/" in key or "~" in key:
        return key.replace("~", "~0").replace("/", "~1")
    return key


def owner(document: Mapping[str, Any]) -> str | None:
    """Return whose lists these are: the only server of the configuration, if one."""
    servers = located_servers(document)
    return servers[0].name if len(servers) == 1 else None
