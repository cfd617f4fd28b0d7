"""Where an MCP configuration keeps its secrets. Standard library only.

`find` names each with its place; what it finds is what redaction masks, so that no
value can be reported and shown, or shown because nobody reported it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import unquote, unquote_plus

from scanners.mcp_rules.servers import escape, located_servers
from scanners.mcp_rules.tokens import (
    MIN_SECRET,
    MIN_TOKEN,
    is_placeholder,
    looks_random,
    masked,
    tokens_in,
    without_tokens,
)


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret value at one place.

    `section` is `env`, `headers`, `args`, `url`, `field` (elsewhere in a server) or
    `text` (elsewhere in the document); `pointer` leads to the string that holds it in
    `Target.document`, `field` is its key in words, `server` the name as submitted.
    """

    value: str
    kind: str
    section: str
    pointer: str
    field: str
    server: str | None = None


# Of a text full of tokens the first ones are finding enough; all of them are masked.
MAX_OF_ONE_TEXT = 20
_NAME = re.compile(
    r"""(?ix)
    token(?!s?[_-]?(?:limit|count|budget|type|url|uri|endpoint|file|path|ttl))
    | secret(?![_-]?(?:name|file|path|id$|arn|manager|store))
    | passw(?:or)?d(?![_-]?(?:file|path)) | passphrase | (?:^|[_-])(?:pwd|pass|pat)$
    | api[_-]?key | (?:access|private|signing|encryption|master|service|account|auth
        |shared|client|subscription|functions|storage|admin|role|deploy|bot)[_-]?key
    | ^key$ | ^.*(?<!public)(?<!primary)(?<!foreign)(?<!partition)(?<!sort)[_-]key$
    | credential(?!s?[_-]?(?:file|path|s$))
    | (?:^|[_-])auth(?:orization)?$ | bearer | cookie
    | (?:^|[_-])session[_-]?(?:id|key)?$
    | connection[_-]?string | (?:^|[_-])dsn$ | webhook[_-]?url | x-functions-key
    | (?:^|[_-])sig(?:nature)?$ | jwt$
    """
)
_URL = re.compile(r"(?i)\b[a-z][a-z0-9+.-]{1,30}://[^\s\"'<>`]+")
_USERINFO = re.compile(r"://[^\s/?#:@]*:(?P<password>[^\s/?#]+)@")
_QUERY = re.compile(r"[?&;#](?P<name>[^=&;#\s]{1,100})=(?P<value>[^&;#\s]+)")
_SCHEME = re.compile(
    r"(?i)^(?:bearer|basic|token|apikey|api-key|digest|negotiate|key|bot|jwt)[ :=]+"
)
_ASSIGNMENT = re.compile(
    r"(?<![A-Za-z0-9])(?P<name>-{0,2}[A-Za-z][A-Za-z0-9_.-]{1,60})\s*[=:]\s*"
    r"(?P<quote>[\"']?)(?P<value>[^\s\"'&;|]+(?:(?<=[Bb]earer)\s+[^\s\"'&;|]+)?)"
)
_SWITCH = re.compile(r"-{1,2}(?P<name>[A-Za-z][A-Za-z0-9_.-]*)")
# A container is told which stored secret it gets: `--secret name,type=env`.
_STORED = re.compile(r"(?:^|,)(?:type|target|id|src|source|mode)=")
_HEADER_SWITCHES = frozenset({"-H", "--header", "--headers"})
_SECTIONS = {
    "env": "env",
    "environment": "env",
    "headers": "headers",
    "http_headers": "headers",
    "requestInit": "headers",
    "args": "args",
    "arguments": "args",
    "command": "args",
    "url": "url",
    "serverUrl": "url",
    "httpUrl": "url",
    "endpoint": "url",
}


def find(document: Mapping[str, Any]) -> list[Secret]:
    """Return the secrets of `document` (the shape of `Target.document`), in order."""
    found: dict[tuple[str, str], Secret] = {}
    at: dict[str, list[str]] = {}
    for server in located_servers(document):
        pointer = f"/config{server.pointer}"
        for secret in _in_server(server.value, pointer, server.name):
            found.setdefault((secret.pointer, secret.value), secret)
            at.setdefault(secret.pointer, []).append(secret.value)
    for pointer, key, text in _long_strings(document, "", "", []):
        for kind, value in islice(tokens_in(text), MAX_OF_ONE_TEXT):
            if not any(value in known for known in at.get(pointer, ())):
                secret = Secret(value, kind, "text", pointer, key)
                found.setdefault((pointer, value), secret)
    return list(found.values())


def secret_values(document: Mapping[str, Any]) -> frozenset[str]:
    """Return the values to mask, with the password inside a Basic header."""
    return values_of(find(document))


def values_of(found: Iterable[Secret]) -> frozenset[str]:
    """Return the values to mask of secrets that were found."""
    values: set[str] = set()
    for secret in found:
        values.add(secret.value)
        if secret.section == "headers":
            values.update(_decoded_password(secret.value))
        decoded = unquote_plus(secret.value)
        if len(decoded) >= MIN_SECRET:
            values.add(decoded)
    return frozenset(values)


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name promises a secret."""
    return bool(_NAME.search(name))


def hide(text: str, values: frozenset[str]) -> str:
    """Replace each of `values` in `text`: four characters of a long one stay."""
    for value in sorted(values, key=len, reverse=True):
        if value in text:
            text = text.replace(value, masked(value))
    return without_tokens(text)


def hide_shown(text: str, values: frozenset[str]) -> str:
    """Hide `values` in what `matches.shown` made, which may end within one of them."""
    text = hide(text, values)
    if not text.endswith("…"):
        return text
    for value in values:
        for length in range(min(len(value), len(text)), MIN_SECRET - 1, -1):
            if text[:-1].endswith(value[:length]):
                return f"{text[: -1 - length]}{masked(value)}…"
    return text


def _in_server(value: Any, pointer: str, server: str) -> Iterator[Secret]:
    for key, child in value.items():
        section = _SECTIONS.get(key, "field")
        place = f"{pointer}/{escape(key)}"
        if section == "args":
            yield from _in_arguments(child, place, server)
            continue
        for where, name, text in _strings(child, place, key):
            # A secret's name may stand on any level: {"auth": {"value": "..."}}.
            names = (
                [key, *where.removeprefix(place).split("/")]
                if section == "field"
                else [name]
            )
            named = any(_NAME.search(part) for part in names)
            for kind, found in _in_text(text, named, section):
                yield Secret(found, kind, section, where, name, server)


def _in_text(text: str, named: bool, section: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, value); `named` says that the key promises a secret."""
    known = list(islice(tokens_in(text), MAX_OF_ONE_TEXT))
    if known:
        yield from known
        return
    urls = list(islice(_in_urls(text), MAX_OF_ONE_TEXT))
    if urls:
        yield from urls
        return
    bare = (
        _SCHEME.sub("", text.strip())
        if section in ("headers", "field", "env")
        else text
    )
    scheme = bare != text.strip()
    if not is_placeholder(bare) and not _URL.fullmatch(bare):
        if named or (scheme and section == "headers"):
            yield "value of a secret's name", bare
        elif section in ("env", "headers", "field") and looks_random(bare):
            yield "random value", bare
        elif section == "env":
            yield from _in_assignments(text)


def _in_urls(text: str) -> Iterator[tuple[str, str]]:
    for url in _URL.findall(text):
        for match in _USERINFO.finditer(url):
            if not is_placeholder(unquote(match["password"])):
                yield "password in a URL", match["password"]
        for match in _QUERY.finditer(url):
            value = unquote_plus(match["value"])
            is_named = bool(_NAME.search(match["name"]))
            if (is_named or looks_random(value)) and not is_placeholder(value):
                yield "secret in a URL", match["value"]
        path = url.partition("://")[2].partition("?")[0].partition("/")[2]
        for part in path.split("/"):
            if looks_random(part):
                yield "secret in a URL", part


def _in_assignments(text: str) -> Iterator[tuple[str, str]]:
    for match in _ASSIGNMENT.finditer(text):
        value = _SCHEME.sub("", match["value"])
        is_url = value.startswith("//")
        if _NAME.search(match["name"]) and not is_url and not is_placeholder(value):
            yield "argument of a secret's name", value


def _in_arguments(value: Any, pointer: str, server: str) -> Iterator[Secret]:
    """A secret follows its switch (`--token X`), or stands beside it (`--token=X`)."""
    before = ""
    for where, name, text in _strings(value, pointer, pointer.rpartition("/")[2]):
        is_switch = bool(_NAME.search(before)) or before in _HEADER_SWITCHES
        field = before if is_switch else name
        hits = list(_in_argument(text, before))
        for kind, found in hits:
            yield Secret(found, kind, "args", where, field, server)
        switch = _SWITCH.fullmatch(text)
        before = text if switch else ""


def _in_argument(text: str, before: str) -> Iterator[tuple[str, str]]:
    hits = [*tokens_in(text), *_in_urls(text)][:MAX_OF_ONE_TEXT]
    if not hits and before in _HEADER_SWITCHES:
        name, colon, value = text.partition(":")
        bare = _SCHEME.sub("", value.strip())
        is_named = bool(_NAME.search(name.strip())) or bare != value.strip()
        if colon and is_named and not is_placeholder(bare):
            hits.append(("header of a secret's name", bare))
    switch = _SWITCH.fullmatch(before)
    if not hits and switch and _NAME.search(switch["name"]):
        bare = _SCHEME.sub("", text.strip())
        is_reference = before == "--secret" and bool(_STORED.search(bare))
        if not (is_placeholder(bare) or bare.startswith("-") or is_reference):
            hits.append(("argument of a secret's name", bare))
    hits = hits or list(islice(_in_assignments(text), MAX_OF_ONE_TEXT))
    # A switch of any name may be given one.
    bare = text.partition("=")[2] if text.startswith("-") else text
    if not hits and looks_random(bare):
        hits.append(("random value", bare))
    yield from hits


def _strings(value: Any, pointer: str, key: str) -> Iterator[tuple[str, str, str]]:
    """Yield (pointer, nearest key, text) of every string below `value`, in order."""
    if isinstance(value, str):
        yield pointer, key, value
    elif isinstance(value, Mapping):
        for name, child in value.items():
            yield from _strings(child, f"{pointer}/{escape(name)}", name)
            if tokens := list(tokens_in(name)):
                yield f"{pointer}/{escape(name)}", key, tokens[0][1]
    elif isinstance(value, list | tuple):
        for position, child in enumerate(value):
            yield from _strings(child, f"{pointer}/{position}", key)


type _Found = list[tuple[str, str, str]]


def _long_strings(value: Any, pointer: str, key: str, found: _Found) -> _Found:
    """Return in `found` what `_strings` yields, but what is shorter than any token.

    Most strings of a tool list are: they get no pointer.
    """
    if isinstance(value, str):
        if len(value) >= MIN_TOKEN:
            found.append((pointer, key, value))
    elif isinstance(value, dict):
        for name, child in value.items():
            if _may_be_long(child):
                _long_strings(child, f"{pointer}/{escape(name)}", name, found)
            if len(name) >= MIN_TOKEN and (tokens := list(tokens_in(name))):
                found.append((f"{pointer}/{escape(name)}", key, tokens[0][1]))
    elif isinstance(value, list | tuple):
        for position, child in enumerate(value):
            if _may_be_long(child):
                _long_strings(child, f"{pointer}/{position}", key, found)
    return found


def _may_be_long(value: Any) -> bool:
    return not isinstance(value, str) or len(value) >= MIN_TOKEN


def _decoded_password(value: str) -> Iterator[str]:
    try:
        text = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        return
    password = text.partition(":")[2]
    if len(password) >= MIN_SECRET and json.dumps(password).isprintable():
        yield password
