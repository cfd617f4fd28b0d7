"""What was and was not looked at, as the folders that it lies in. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

SHOWN = 200  # entries of one folder; what was not looked at comes first


@dataclass(slots=True)
class Branch:
    """A folder, or a leaf (`children` is empty). `reason` is why nobody looked."""

    name: str
    reason: str = ""
    children: dict[str, Branch] = field(default_factory=dict)
    count: int = 0  # leaves below it
    gaps: int = 0

    @property
    def shown(self) -> list[Branch]:
        ordered = sorted(
            self.children.values(), key=lambda b: (not b.gaps, not b.children, b.name)
        )
        return ordered[:SHOWN]

    @property
    def hidden(self) -> int:
        return max(0, len(self.children) - SHOWN)


def grown(paths: Iterable[str], gaps: Mapping[str, str]) -> Branch:
    """Return the root over all elements; `gaps` are path -> why nobody looked."""
    root = Branch("")
    for path in dict.fromkeys([*gaps, *paths]):
        _add(root, path, gaps.get(path, ""))
    _count(root)
    return root


def _add(root: Branch, path: str, reason: str) -> None:
    here = root
    for part in path.split("/"):
        here = here.children.setdefault(part, Branch(part))
    here.reason = reason


def _count(root: Branch) -> None:
    # No recursion: an archive may nest deeper than Python's stack.
    ordered, waiting = [], [root]
    while waiting:
        branch = waiting.pop()
        ordered.append(branch)
        waiting += branch.children.values()
    for branch in reversed(ordered):
        below = branch.children.values()
        branch.count = sum(each.count for each in below) or 1
        branch.gaps = sum(each.gaps for each in below) + bool(branch.reason)
