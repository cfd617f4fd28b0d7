"""What a target looked like: the definition of each element, fit to be kept. Pure.

A snapshot is what a baseline is made of, so it holds all that a later scan is compared
with and nothing that is secret: a value that is one, or may be one, is a keyed digest
(HMAC-SHA256 with a key of the installation). A changed secret is thus a difference, and
nobody who reads the snapshot can guess it. Of a server's unknown fields the names stay.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785

from scanners.contract import Report, Target
from scanners.documents import owners_of, paths_of, servers_of
from scanners.mcp_rules.secrets import hide
from scanners.redaction import mask
from scans.client_settings import settings_in
from scans.drift import Element
from scans.drift.elements import SETTINGS
from scans.storable import json_value

FORMAT = 2
EXACT = 2**53  # below it every integer is a float, and is written as an integer
# Fields of a configured server that may be read: what runs, what it is asked, by whom.
READABLE = frozenset(
    {"type", "transport", "command", "args", "cwd", "disabled", "enabled"}
    | {"alwaysAllow", "autoApprove", "trust", "timeout"}
)
ADDRESSES = frozenset({"url", "endpoint", "serverUrl", "httpUrl"})
# Where the rest of an address is kept: no place for a field of the server's own.
OF_ADDRESS = re.compile(rf"(?:{'|'.join(sorted(ADDRESSES))})_query#*")
NAMED_VALUES = frozenset({"env", "headers"})
# What nobody names a place. Whoever knows such an address may use the server (Zapier,
# Composio, web hooks), so it is a secret.
UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
LONG_RUN = re.compile(r"[A-Za-z0-9]{16,}")
SEALED = re.compile(r"\bhmac:[0-9a-f]{32}\b")
OTHER_KEY = (
    "Secret values could not be compared with the baseline's: it was made with another "
    "installation key. Approve a new one"
)
TOO_OLD = (
    "The active baseline cannot be compared: it was made by an earlier release and "
    "holds no definitions. Approve a new one"
)


class Incomparable(ValueError):
    """A snapshot that no comparison can read; the message is for people."""


class Seal:
    """Keyed digests that stand for values nobody may read. `key` has 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        # By it one knows whether two digests can be compared.
        self.name = self._digest(b"name")[:16]

    def of(self, value: Any) -> str:
        return f"hmac:{self._digest(b'value' + rfc8785.dumps(value))[:32]}"

    def _digest(self, data: bytes) -> str:
        return hmac.new(self._key, data, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The columns of a `ScanSnapshot`.

    `elements` are {"path", "size", "digest"}; `document` is {"format", "key",
    "definitions": {path: definition}, "servers": {path: server}}.
    """

    elements: list[dict[str, Any]]
    document: dict[str, Any]


def of_model(target: Target, reports: Mapping[str, Report]) -> Snapshot:
    """Return each file's digest, size, format and what the tools saw inside.

    `reports` are those of the scanners that completed, by their names.
    """
    definitions: dict[str, Any] = {
        element.path: {"digest": element.digest, "size": element.size}
        for element in target.elements
    }
    for scanner, report in sorted(reports.items()):
        for path, seen in report.inside.items():
            if path not in definitions:
                continue
            rest = dict(seen)
            if kind := rest.pop("format", ""):
                definitions[path].setdefault("format", {})[scanner] = kind
            if rest:
                definitions[path].setdefault("inside", {})[scanner] = rest
    kept = json_value({"format": FORMAT, "definitions": definitions})
    elements = [
        {"path": each.path, "size": each.size, "digest": each.digest}
        for each in target.elements
    ]
    return Snapshot(json_value(elements), kept)


def of_document(target: Target, secrets: frozenset[str], seal: Seal) -> Snapshot:
    """Return the canonical definitions (RFC 8785) of everything an MCP target lists.

    Sizes and digests are of what is kept: those of the document itself would let a
    short secret be guessed.
    """
    document = target.document or {}
    paths = paths_of(document)
    servers = servers_of(document)
    raw: dict[str, Any] = {
        f"servers/{name}": kept_server(server, seal) for name, server in servers.items()
    }
    for kind in ("tools", "prompts", "resources"):
        raw |= dict(zip(paths[kind], document.get(kind) or [], strict=True))
    if document.get("instructions"):
        raw["instructions"] = document["instructions"]
    if settings := settings_in(document.get("config"), seal.of):
        raw[SETTINGS] = settings
    definitions = json_value(
        {path: masked(value, secrets, seal) for path, value in raw.items()}
    )
    owners = {
        path: hide(server, secrets) for path, server in owners_of(document).items()
    }
    return Snapshot(
        # Settings are compared, and are nothing that a scanner looks at by itself.
        elements=[_element(p, v) for p, v in definitions.items() if p != SETTINGS],
        document={
            "format": FORMAT,
            "key": seal.name,
            "definitions": definitions,
            "servers": json_value(owners),
        },
    )


def _element(path: str, definition: Any) -> dict[str, Any]:
    form = rfc8785.dumps(definition)
    digest = hashlib.sha256(form).hexdigest()
    return {"path": path, "size": len(form), "digest": digest}


def kept_server(server: Mapping[str, Any], seal: Seal) -> dict[str, Any]:
    """Return what may be kept of a configured server, before it is masked."""
    kept: dict[str, Any] = {}
    for field, value in server.items():
        name = f"{field}#" if OF_ADDRESS.fullmatch(field) else field
        if name in ADDRESSES and isinstance(value, str):
            place, mark, rest = _parted(value)
            kept[name] = _without_random(place, seal)
            if mark:
                # A fragment is sent to nobody, so it is not the same as a query.
                kept[f"{name}_query"] = seal.of(rest if mark == "?" else [mark, rest])
        elif name in NAMED_VALUES and isinstance(value, Mapping):
            kept[name] = {str(key): seal.of(child) for key, child in value.items()}
        elif name in READABLE or value is None or isinstance(value, bool):
            kept[name] = value
        else:
            kept[name] = seal.of(value)
    return kept


def _parted(address: str) -> tuple[str, str, str]:
    """Split before the query or fragment: tokens are often there."""
    mark = next((char for char in address if char in "?#"), "")
    return address.partition(mark) if mark else (address, "", "")


def _without_random(address: str, seal: Seal) -> str:
    """Put keyed digests in the place of path segments that look like a key."""
    scheme, mark, rest = address.partition("://")
    if not mark:
        scheme, rest = "", address
    host, *segments = rest.split("/")
    kept = [seal.of(part) if _is_random(part) else part for part in segments]
    return f"{scheme}{mark}{'/'.join([host, *kept])}"


def _is_random(segment: str) -> bool:
    """Whether it is a UUID, or has a long run of letters mixed with digits."""
    return bool(UUID.fullmatch(segment)) or any(
        any(c.isdigit() for c in run) and any(c.isalpha() for c in run)
        for run in LONG_RUN.findall(segment)
    )


def masked(value: Any, secrets: frozenset[str], seal: Seal) -> Any:
    """Return `value` in canonical form; a text with a secret has a keyed digest too."""
    if isinstance(value, str):
        hidden = mask(value, secrets)
        return value if hidden == value else f"{hidden} ({seal.of(value)})"
    if isinstance(value, Mapping):
        return {
            masked(str(key), secrets, seal): masked(child, secrets, seal)
            for key, child in sorted(value.items())
        }
    if isinstance(value, list | tuple):
        return [masked(child, secrets, seal) for child in value]
    # 1.0 is written 1 (RFC 8785, 3.2.2.3).
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < EXACT
    return int(value) if is_whole else value


def definitions_of(document: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return path -> definition; raise `Incomparable` for an earlier release's."""
    if not document or document.get("format") != FORMAT:
        raise Incomparable(TOO_OLD)
    found: dict[str, Any] = document["definitions"]
    return found


def side_by_side(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> tuple[list[Element], list[Element], list[str]]:
    """Return the elements of two snapshots' documents, and what cannot be compared.

    Raises `Incomparable`.
    """
    olds, news = definitions_of(before), definitions_of(after)
    told: list[str] = []
    keys = [(document or {}).get("key") for document in (before, after)]
    if keys[0] != keys[1] and (_has_seal(olds) or _has_seal(news)):
        olds, news = _unsealed(olds), _unsealed(news)
        told.append(OTHER_KEY)
    return _elements(olds, before), _elements(news, after), told


def _elements(
    definitions: Mapping[str, Any], document: Mapping[str, Any] | None
) -> list[Element]:
    servers = (document or {}).get("servers") or {}
    return [
        Element(path, _as_read(value), servers.get(path, ""))
        for path, value in definitions.items()
    ]


def _as_read(value: Any) -> Any:
    """Return `value` with large numbers in one form.

    PostgreSQL gives 1e20 back as the integer that it is, SQLite as the float that was
    stored; a comparison would take the same schema for another one.
    """
    if isinstance(value, Mapping):
        return {key: _as_read(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_as_read(child) for child in value]
    is_large = isinstance(value, int) and abs(value) >= EXACT
    return float(value) if is_large else value


def _has_seal(value: Any) -> bool:
    return any(SEALED.search(text) for text in _texts(value))


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield key
            yield from _texts(child)
    elif isinstance(value, list):
        for child in value:
            yield from _texts(child)


def _unsealed(value: Any) -> Any:
    if isinstance(value, str):
        return SEALED.sub("hmac:?", value)
    if isinstance(value, Mapping):
        return {_unsealed(key): _unsealed(child) for key, child in value.items()}
    return [_unsealed(child) for child in value] if isinstance(value, list) else value
