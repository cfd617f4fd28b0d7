"""The servers of an MCP document as CycloneDX services."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scans.exports.packages import package_of
from scans.exports.shapes import Row

# What a header is called that proves who calls.
PROOFS = ("authorization", "api-key", "apikey", "token", "cookie")
# Importers check the form of an address (RFC 3987), and a configuration may hold any
# text: `https://${HOST}/mcp`, or what is left of one with a password.
ADDRESS = re.compile(
    r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?"
    r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?"
)
UNATTRIBUTED = "lists"  # what was submitted without saying whose it is


@dataclass(frozen=True, slots=True)
class Services:
    """`owners` maps element paths to the `bom-ref` of their service.

    `started_from` are pairs of `bom-ref`: a service, and the package that starts it.
    """

    entries: list[Row] = field(default_factory=list)
    packages: list[Row] = field(default_factory=list)
    started_from: list[tuple[str, str]] = field(default_factory=list)
    owners: dict[str, str] = field(default_factory=dict)


def read_services(
    document: Mapping[str, Any], elements: Sequence[Mapping[str, Any]], target: str
) -> Services:
    """Return the services of a stored snapshot (`scans.snapshots`)."""
    services = Services()
    definitions = document.get("definitions") or {}
    whose = document.get("servers") or {}
    listed: dict[str, list[Row]] = defaultdict(list)
    for element in elements:
        path = element["path"]
        if path.startswith("servers/"):
            services.owners[path] = path
            listed.setdefault(path, [])
            continue
        owner = f"servers/{whose[path]}" if path in whose else UNATTRIBUTED
        services.owners[path] = owner
        digest = element.get("digest") or ""
        name = f"sentrascan:mcp:{path.replace('/', ':', 1)}"
        listed[owner].append({"name": name, "value": f"sha256:{digest}"})
    for ref, properties in listed.items():
        name = ref.removeprefix("servers/")
        entry: Row = {"bom-ref": ref, "name": target if ref == UNATTRIBUTED else name}
        server = definitions.get(ref)
        if isinstance(server, Mapping):
            entry |= _connection(server)
            properties = _command(server) + _odd_address(server) + properties
            _note_package(services, ref, server)
        entry["properties"] = properties
        services.entries.append({k: v for k, v in entry.items() if v != []})
    return services


def _connection(server: Mapping[str, Any]) -> Row:
    url = _url(server)
    if not url:
        return {"x-trust-boundary": False}
    connection: Row = {"x-trust-boundary": True}
    if ADDRESS.fullmatch(url):
        connection["endpoints"] = [url]
    names = [str(name).lower() for name in server.get("headers") or ()]
    if any(proof in name for name in names for proof in PROOFS):
        # That none is configured does not say that none is wanted.
        connection["authenticated"] = True
    return connection


def _url(server: Mapping[str, Any]) -> str:
    url = server.get("url")
    is_web = isinstance(url, str) and url.startswith(("http://", "https://"))
    return str(url) if is_web else ""


def _odd_address(server: Mapping[str, Any]) -> list[Row]:
    """Return as a property what is no valid endpoint."""
    url = _url(server)
    if not url or ADDRESS.fullmatch(url):
        return []
    return [{"name": "sentrascan:mcp:address", "value": url}]


def _command(server: Mapping[str, Any]) -> list[Row]:
    parts = [server.get("command"), *(server.get("args") or [])]
    words = " ".join(str(part) for part in parts if part)
    if not words or not server.get("command"):
        return []
    return [{"name": "sentrascan:mcp:command", "value": words}]


def _note_package(services: Services, ref: str, server: Mapping[str, Any]) -> None:
    package = package_of(server)
    if package is None:
        return
    if all(each["bom-ref"] != package["purl"] for each in services.packages):
        component = {"type": "application", "bom-ref": package["purl"]}
        services.packages.append(component | package)
    services.started_from.append((ref, package["purl"]))
