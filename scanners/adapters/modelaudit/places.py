"""Where modelaudit says something is, in terms of the target's elements.

It writes `path`, `path (pos N)`, `path (offset: N)`, `path (layer: x)`, `path:member`,
`path:member (pos N)`, `path -> member` for the content of a compressed file, and names
of members, which attackers choose, may look like any of these. So a location is
resolved by the longest element that it begins with, then by the members that it listed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from scanners.contract import Target

# Sharded models are read through a descriptor of their folder.
DESCRIPTOR = re.compile(r"/proc/self/fd/\d+/")
# Members are examined as copies in the scratch directory, whose names are random.
SCRATCH = re.compile(r"(?:/[\w.@+-]+)*/tmp[a-z0-9_]{8}[_/]")
POSITION = re.compile(r" \((?:pos|offset:) (\d+)\)\Z")
CUTS = re.compile(r":| \(| -> ")
INSIDE = (":", " -> ")


@dataclass(frozen=True, slots=True)
class Place:
    path: str = ""
    member: str | None = None
    byte_offset: int | None = None

    @property
    def key(self) -> str:
        """The file and its member, without a position."""
        return f"{self.path}\0{self.member or ''}"


class Places:
    """`members` are (path as the tool writes it, member name)."""

    def __init__(self, target: Target, members: Iterable[tuple[str, str]]) -> None:
        self.root = f"{str(target.root).rstrip('/')}/"
        self.sizes = {element.path: element.size for element in target.elements}
        self.by_name: dict[str, list[str]] = defaultdict(list)
        for path in sorted(self.sizes):
            self.by_name[PurePosixPath(path).name].append(path)
        self.members: dict[str, set[str]] = defaultdict(set)
        for path, member in members:
            for element in self.files(path):
                self.members[element].add(member)

    def is_empty(self, path: str) -> bool:
        return self.sizes[path] == 0

    def files(self, location: str) -> tuple[str, ...]:
        """Return the elements that `location` may mean: one, but for shards of the
        same name in several folders; none for what lies elsewhere.
        """
        if location.startswith(self.root):
            path = self._longest(location.removeprefix(self.root), self.sizes)
            return (path,) if path else ()
        shard = DESCRIPTOR.match(location)
        if not shard:
            return ()
        name = self._longest(location[shard.end() :], self.by_name)
        return tuple(self.by_name[name]) if name else ()

    def one(self, location: str) -> Place:
        """Return the place that `location` means; an empty one for no element."""
        paths = self.files(location)
        if not paths:
            return Place()
        shard = DESCRIPTOR.match(location)
        if shard:
            prefix = shard[0] + PurePosixPath(paths[0]).name
        else:
            prefix = self.root + paths[0]
        return self._split(paths[0], location.removeprefix(prefix))

    def strip(self, text: str) -> str:
        """Return `text` without paths of this machine."""
        text = DESCRIPTOR.sub("", text.replace(self.root, ""))
        return SCRATCH.sub("", text.replace(self.root.rstrip("/"), "."))

    def _split(self, path: str, rest: str) -> Place:
        position = POSITION.search(rest)
        if rest.startswith(INSIDE):
            member = rest.removeprefix(":").removeprefix(" -> ")
            if member in self.members[path] or not position:
                return Place(path, member or None)
            return Place(path, POSITION.sub("", member), int(position[1][:18]))
        return Place(path, None, int(position[1][:18]) if position else None)

    @staticmethod
    def _longest(text: str, known: Container[str]) -> str:
        """Return the longest of `known` that `text` is, or is a place in."""
        if text in known:
            return text
        for cut in reversed([match.start() for match in CUTS.finditer(text)]):
            if text[:cut] in known:
                return text[:cut]
        return ""
