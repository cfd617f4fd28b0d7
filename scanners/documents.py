"""What an MCP client may submit, read into one shape.

Accepted are the pieces of a request body (`config`, `tools`, `prompts`, `resources`,
`instructions`) and the files that people have: `mcpServers` (Claude, Cursor, Windsurf),
`servers` and `mcp.servers` (VS Code), a mapping of servers without any frame, the
answer to `tools/list` and its siblings with or without its JSON-RPC frame, and a bare
list of tools. Specification of the lists: modelcontextprotocol.io, 2025-06-18.

Nothing is dropped: what has no place in the shape is refused by name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import rfc8785

from scanners.contract import Element
from scanners.mcp_rules.secrets import hide, secret_values
from scanners.mcp_rules.servers import (
    escape,
    located_servers,
    owner,
    server_maps,
)
from scanners.strict_json import DocumentError, check, parse

__all__ = [
    "DocumentError",
    "canonical",
    "elements_of",
    "own_words",
    "owners_of",
    "paths_of",
    "read_document",
    "servers_of",
]

LISTS = ("tools", "prompts", "resources")
PIECES = ("config", *LISTS, "instructions")
TEMPLATES = "resourceTemplates"
# Frames of an MCP answer that carry nothing to examine, `own_words` aside.
FRAME = frozenset(
    {"jsonrpc", "id", "_meta", "nextCursor", "protocolVersion", "capabilities"}
    | {"serverInfo", TEMPLATES}
)
LAUNCH_KEYS = frozenset({"command", "url", "endpoint", "serverUrl", "httpUrl"})

MAX_ELEMENTS = 20_000
MAX_NAME = 1_024
LONG_NAME = 64  # what a server is called says more than a name from here on
MAX_URI = 8_192
MAX_SECRETS = 1_000


def read_document(raw: bytes | Mapping[str, Any] | Sequence[Any]) -> dict[str, Any]:
    """Return `raw` in the shape of `Target.document`; raise `DocumentError`."""
    value = parse(raw) if isinstance(raw, bytes) else raw
    check(value)
    pieces, places = _pieces_of(value)
    document: dict[str, Any] = {
        "config": _config(pieces.get("config"), places.get("config", "/config")),
        "instructions": _instructions(pieces.get("instructions"), places),
    }
    for name in LISTS:
        place = places.get(name, f"/{name}")
        document[name] = _elements(pieces.get(name), name, place)
    _check_count(document)
    if len(secret_values(document)) > MAX_SECRETS:
        # More could not be masked in every finding in reasonable time.
        raise DocumentError("", f"More than {MAX_SECRETS} secrets in one document.")
    return document


def canonical(document: Mapping[str, Any]) -> bytes:
    """Return the RFC 8785 form; raise `ValueError` for NaN and huge integers."""
    return rfc8785.dumps(dict(document))


def servers_of(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the configured servers by the name in their path (`servers/<name>`)."""
    paths = paths_of(document)["servers"]
    names = (path.removeprefix("servers/") for path in paths)
    servers = (server.value for server in located_servers(document))
    return dict(zip(names, servers, strict=True))


def elements_of(document: Mapping[str, Any]) -> tuple[Element, ...]:
    """Return one element for each server, tool, prompt and resource, in that order.

    Within one kind they stand as submitted. A nameless one is called by its position,
    counted from one (`tools/#4`). A secret in a name or URI is masked.
    """
    paths = paths_of(document)
    servers = [server.value for server in located_servers(document)]
    elements = list(map(_element, paths["servers"], servers))
    for kind in LISTS:
        elements += map(_element, paths[kind], document.get(kind) or [])
    if document.get("instructions"):
        elements.append(_element("instructions", document["instructions"]))
    return tuple(elements)


def paths_of(document: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the element paths of `servers`, `tools`, `prompts` and `resources`."""
    values = secret_values(document)
    given = {"servers": [server.name for server in located_servers(document)]}
    for kind in LISTS:
        entries = document.get(kind) or []
        given[kind] = [_name_of(entry, kind) for entry in entries]
    return {kind: _unique(kind, names, values) for kind, names in given.items()}


def owners_of(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the server of each listed element by its path, where that is known.

    Known it is for lists that servers gave when they were started (`origins`), and for
    those submitted with a configuration of one server.
    """
    paths = paths_of(document)
    only = owner(document)
    origins = document.get("origins") or {}
    owners = {"instructions": only} if only else {}
    for kind in LISTS:
        names = origins.get(kind) or [only] * len(paths[kind])
        owners |= {p: name for p, name in zip(paths[kind], names, strict=True) if name}
    return owners


class _Names:
    """Gives every name of one kind a path of its own."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}

    def unique(self, name: str) -> str:
        path = f"{self._prefix}{name}"
        # A tool may be called "a#2" by itself: a suffix is tried, not trusted.
        while path in self._taken:
            self._counts[name] = self._counts.get(name, 1) + 1
            path = f"{self._prefix}{name}#{self._counts[name]}"
        self._taken.add(path)
        return path


def _unique(kind: str, names: list[str], values: frozenset[str]) -> list[str]:
    taken = _Names(f"{kind}/")
    # A server has no other name than this: clients tell "gh" from "gh ".
    is_exact = kind == "servers"
    return [
        taken.unique(
            _printable(hidden if is_exact and hidden.strip() else hidden.strip())
            or f"#{position}"
        )
        for position, hidden in enumerate((hide(n, values) for n in names), start=1)
    ]


def _name_of(entry: Mapping[str, Any], kind: str) -> str:
    keys = ("uri", "uriTemplate", "name") if kind == "resources" else ("name",)
    return next((str(entry[key]) for key in keys if entry.get(key)), "")


def _printable(name: str) -> str:
    # PostgreSQL stores no NUL, and a line break in a path would break every listing.
    return "".join(
        f"\\x{ord(char):02x}" if ord(char) < 32 or 127 <= ord(char) < 160 else char
        for char in name
    )


def _element(path: str, value: Any) -> Element:
    data = rfc8785.dumps(value)
    return Element(path, len(data), hashlib.sha256(data).hexdigest())


def _pieces_of(value: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the pieces by name, and the pointer of each in what was submitted."""
    if isinstance(value, list | tuple):
        return {"tools": value}, {"tools": ""}
    if not isinstance(value, Mapping):
        raise DocumentError("", "Expected a JSON object or a list of tools.")
    place = ""
    if isinstance(value.get("result"), Mapping) and not _has_pieces(value):
        # Servers beside an answer would go unseen, and a client would start them.
        _check_known(value.keys() - {"result"}, place)
        value, place = value["result"], "/result"
    if value.get("nextCursor"):
        raise DocumentError(
            f"{place}/nextCursor",
            "This is one page of a longer list; submit all pages as one list.",
        )
    if server_maps(value):
        return _split(value, place)
    if _has_pieces(value) or TEMPLATES in value:
        return _take(value, place)
    if value and all(_is_server(server) for server in value.values()):
        return {"config": {"mcpServers": value}}, {"config": place}
    raise DocumentError(
        place,
        "Found no MCP servers (mcpServers, servers, mcp.servers), no tools, prompts, "
        "resources or instructions.",
    )


def own_words(about: Any) -> Iterator[str]:
    """Yield what a server's `serverInfo` says for a model or its user to read."""
    own = about if isinstance(about, Mapping) else {}
    name = own.get("name")
    if isinstance(name, str) and len(name) > LONG_NAME:
        yield name
    for text in (own.get("title"), own.get("description")):
        if isinstance(text, str) and text:
            yield text


def _has_pieces(value: Mapping[str, Any]) -> bool:
    return any(name in value for name in PIECES)


def _is_server(value: Any) -> bool:
    return isinstance(value, Mapping) and not LAUNCH_KEYS.isdisjoint(value)


def _split(
    value: Mapping[str, Any], place: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Take a settings file apart: its lists, and the rest as configuration.

    Settings files of clients use the same words for other things (Gemini's `tools` is
    an object), so only what has the right type is a piece.
    """
    # A body with a configuration inside `config` has no servers of its own.
    if "config" in value and all(
        p.startswith("/config") for p, _ in server_maps(value)
    ):
        return _take(value, place)
    listed = {n for n in (*LISTS, TEMPLATES) if isinstance(value.get(n), list)}
    pieces: dict[str, Any] = {name: value[name] for name in LISTS if name in listed}
    if isinstance(value.get("instructions"), str):
        pieces["instructions"] = value["instructions"]
    pieces["config"] = {
        key: said for key, said in value.items() if key not in listed | pieces.keys()
    }
    _add_templates(pieces, value, place)
    _add_own_words(pieces, value)
    places = {name: f"{place}/{name}" for name in pieces}
    return pieces, {**places, "config": place}


def _take(
    value: Mapping[str, Any], place: str
) -> tuple[dict[str, Any], dict[str, str]]:
    _check_known(value, place)
    pieces = {name: value[name] for name in PIECES if value.get(name) is not None}
    if not isinstance(value.get(TEMPLATES), list | None):
        raise DocumentError(f"{place}/{TEMPLATES}", "This must be a list.")
    _add_templates(pieces, value, place)
    _add_own_words(pieces, value)
    places = {name: f"{place}/{name}" for name in PIECES}
    config = value.get("config")
    if isinstance(config, Mapping) and server_maps(config):
        # A settings file reads alike, submitted as a file or within a body.
        within, there = _split(config, places["config"])
        for name in sorted(within.keys() & pieces.keys() - {"config"}):
            raise DocumentError(there[name], f"There are {name} beside config, too.")
        pieces, places = pieces | within, places | there
    return pieces, places


def _add_templates(
    pieces: dict[str, Any], value: Mapping[str, Any], place: str
) -> None:
    """Count what resources may be called as resources: a model reads both alike."""
    templates, resources = value.get(TEMPLATES), pieces.get("resources", [])
    if isinstance(templates, list) and isinstance(resources, list):
        _elements(templates, "resources", f"{place}/{TEMPLATES}")
        pieces["resources"] = [*resources, *templates]


def _add_own_words(pieces: dict[str, Any], value: Mapping[str, Any]) -> None:
    instructions = pieces.get("instructions", "")
    words = [*own_words(value.get("serverInfo"))]
    if words and isinstance(instructions, str):
        pieces["instructions"] = "\n\n".join(filter(None, (instructions, *words)))


def _check_known(keys: Iterable[str], place: str) -> None:
    for key in keys:
        if key not in PIECES and key not in FRAME:
            raise DocumentError(
                f"{place}/{escape(key)}", "This field is not known here."
            )


def _config(value: Any, place: str) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise DocumentError(place, "This must be an object.")
    if not server_maps(value):
        if value and all(_is_server(server) for server in value.values()):
            return {"mcpServers": dict(value)}
        raise DocumentError(
            place, "Found no servers: expected mcpServers, servers or mcp.servers."
        )
    for pointer, servers in server_maps(value):
        if not isinstance(servers, Mapping):
            raise DocumentError(f"{place}{pointer}", "This must be an object.")
        for name, server in servers.items():
            here = f"{place}{pointer}/{escape(name)}"
            if not isinstance(server, Mapping):
                raise DocumentError(here, "This must be an object.")
            if len(name) > MAX_NAME:
                raise DocumentError(here, f"Longer than {MAX_NAME} characters.")
    return dict(value)


def _instructions(value: Any, places: Mapping[str, str]) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    raise DocumentError(
        places.get("instructions", "/instructions"), "This must be text."
    )


def _elements(value: Any, kind: str, place: str) -> list[dict[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise DocumentError(place, "This must be a list.")
    for position, entry in enumerate(value):
        _check_element(entry, kind, f"{place}/{position}")
    return [dict(entry) for entry in value]


def _check_element(entry: Any, kind: str, place: str) -> None:
    if not isinstance(entry, Mapping):
        raise DocumentError(place, "This must be an object.")
    limits = {"name": MAX_NAME}
    if kind == "resources":
        limits |= {"uri": MAX_URI, "uriTemplate": MAX_URI}
    for key, limit in limits.items():
        name = entry.get(key)
        if name is None:
            continue
        if not isinstance(name, str):
            raise DocumentError(f"{place}/{key}", "This must be text.")
        if len(name) > limit:
            raise DocumentError(f"{place}/{key}", f"Longer than {limit} characters.")


def _check_count(document: Mapping[str, Any]) -> None:
    for name in LISTS:
        if len(document[name]) > MAX_ELEMENTS:
            raise DocumentError(f"/{name}", f"More than {MAX_ELEMENTS} entries.")
    if len(located_servers(document)) > MAX_ELEMENTS:
        raise DocumentError("/config", f"More than {MAX_ELEMENTS} servers.")
