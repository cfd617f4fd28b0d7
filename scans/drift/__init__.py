"""What is otherwise than in an approved snapshot: kind, place, and how grave. Pure.

`compare` takes the elements of two snapshots of one target, the definitions of MCP
servers, tools, prompts and resources or the facts of files, and tells for each element
whether it was added, removed, renamed or changed, with a JSON pointer (RFC 6901) into
its definition for every difference. What carries no meaning is no difference: the order
of keys, of `required`, `enum`, `anyOf` and the elements themselves, JSON's white space,
and where the target lay.
"""

from scans.drift.changes import Change, Comparison, ElementDrift, Kind, Nature
from scans.drift.comparison import compare
from scans.drift.elements import Element

__all__ = [
    "Change",
    "Comparison",
    "Element",
    "ElementDrift",
    "Kind",
    "Nature",
    "compare",
]
