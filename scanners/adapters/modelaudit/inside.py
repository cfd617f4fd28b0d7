"""What modelaudit saw in each file: its format, and names by which to compare it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from scanners.adapters.modelaudit.places import Places
from scanners.wording import clean

MAX_NAMES, MAX_NAME = 500, 200
MAX_NESTED = 8


def inside_of(document: Mapping[str, Any], places: Places) -> dict[str, dict[str, Any]]:
    """Return path -> what was seen; lists have no order and are cut, with a digest."""
    found: dict[str, dict[str, Any]] = {}
    for asset in document["assets"]:
        seen = _of_asset(asset, places)
        for path in places.files(str(asset["path"])):
            found.setdefault(path, {}).update(seen)
    for location, metadata in document["file_metadata"].items():
        imports = _names(_imports(metadata))
        for path in places.files(location) if imports else ():
            found.setdefault(path, {})["imports"] = imports
    return found


def _of_asset(asset: Mapping[str, Any], places: Places) -> dict[str, Any]:
    seen: dict[str, Any] = {"format": clean(str(asset.get("type") or ""), MAX_NAME)}
    for key in ("tensors", "keys"):
        if isinstance(listed := asset.get(key), list):
            seen[key] = _names(map(str, listed))
    if members := _names(_members(asset, places, 0)):
        seen["members"] = members
    return seen


def _members(asset: Mapping[str, Any], places: Places, depth: int) -> Iterator[str]:
    """Yield `name (format)` of every member, those of archives inside archives too."""
    for member in asset.get("contents") or ():
        name = places.strip(str(member["path"]).removeprefix(f"{asset['path']}:"))
        yield f"{name} ({member.get('type')})"
        if depth < MAX_NESTED:
            yield from _members(member, places, depth + 1)


def _imports(metadata: Mapping[str, Any]) -> Iterator[str]:
    references = metadata.get("import_references")
    for each in references if isinstance(references, list) else ():
        if isinstance(each, Mapping) and each.get("import_reference"):
            yield str(each["import_reference"])


def _names(names: Iterable[str]) -> list[str]:
    unique = sorted({clean(name, MAX_NAME) for name in names})
    if len(unique) <= MAX_NAMES:
        return unique
    digest = hashlib.sha256(json.dumps(unique).encode()).hexdigest()
    more = len(unique) - MAX_NAMES
    return [*unique[:MAX_NAMES], f"and {more} more, SHA-256 of all {digest}"]
