"""What a configuration lets its servers do unasked, beside their own entries. Pure.

A client's settings file has much that concerns no server and changes every day. These
names alone decide which servers, tools and commands run without a question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from scanners.mcp_rules.servers import SERVER_KEYS

NAMES = frozenset(
    # Claude Code: settings.json, .claude.json (docs.claude.com, settings)
    {"enableAllProjectMcpServers", "enabledMcpjsonServers", "disabledMcpjsonServers"}
    | {"allowedMcpServers", "deniedMcpServers", "permissions", "allowedTools", "hooks"}
    # VS Code (code.visualstudio.com, MCP configuration and settings)
    | {"chat.mcp.access", "chat.mcp.autostart", "chat.mcp.discovery.enabled"}
    | {"chat.tools.autoApprove", "chat.tools.global.autoApprove"}
    | {"chat.tools.terminal.autoApprove"}
    # Gemini CLI: settings.json
    | {"allowMCPServers", "excludeMCPServers", "autoAccept"}
)
# VS Code asks for these values, or runs a command for them, when a server starts.
# Anywhere else it is an ordinary word.
INPUTS = "inputs"
# The rest of an input may be the secret itself.
READABLE = frozenset({"id", "type", "password", "command"})


def settings_in(config: Any, seal: Callable[[Any], str]) -> dict[str, Any]:
    """Return these settings by where they stand, keys with dots between (`_step`).

    `seal` gives what stands for a value that nobody may read.
    """
    if not isinstance(config, Mapping):
        return {}
    found = dict(_walk(config, ""))
    # They stand beside the servers: in mcp.json, or below `mcp` in the user's settings.
    for place, part in (("", config), ("mcp.", config.get("mcp"))):
        if isinstance(part, Mapping) and INPUTS in part:
            found[f"{place}{INPUTS}"] = _inputs(part[INPUTS], seal)
    return found


def _inputs(value: Any, seal: Callable[[Any], str]) -> Any:
    if not isinstance(value, list):
        return seal(value)
    return [
        {key: each[key] if key in READABLE else seal(each[key]) for key in each}
        if isinstance(each, Mapping)
        else seal(each)
        for each in value
    ]


def _walk(node: Mapping[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    for key, child in node.items():
        if key in NAMES:
            yield f"{place}{key}", child
        elif isinstance(child, Mapping) and key.rpartition(".")[2] not in SERVER_KEYS:
            yield from _walk(child, f"{place}{_step(key)}.")


def _step(key: str) -> str:
    """Return `key` so that no two settings have one place: a key may hold dots."""
    return key.replace("~", "~0").replace(".", "~1")
