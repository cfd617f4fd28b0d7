"""The parts of a JSON Schema, at every depth. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from scanners.mcp_rules.servers import escape

KEYS = ("inputSchema", "outputSchema", "input_schema", "parameters")
_BOUNDED = frozenset({"enum", "const", "pattern"})


class Node(NamedTuple):
    """One object of a schema; `name` is that of the parameter it describes, if any."""

    value: Mapping[str, Any]
    pointer: str
    name: str

    @property
    def is_free_text(self) -> bool:
        """Whether it takes any string, or a list of any strings."""
        value = self.value
        if value.get("type") == "array" and isinstance(value.get("items"), Mapping):
            value = value["items"]
        kind = value.get("type")
        is_text = kind in ("string", None, "array") or (
            isinstance(kind, list) and "string" in kind
        )
        return is_text and _BOUNDED.isdisjoint(value)


def nodes_of(schema: Any, pointer: str) -> Iterator[Node]:
    """Yield every object below `schema`, itself included.

    All of them: whoever reads less has to say so. A document has a bounded number.
    """
    queue: list[tuple[Any, str, str]] = [(schema, pointer, "")]
    while queue:
        value, place, name = queue.pop()
        if isinstance(value, Mapping):
            yield Node(value, place, name)
            for key, child in value.items():
                if key == "properties" and isinstance(child, Mapping):
                    here = f"{place}/properties/"
                    queue += [(v, f"{here}{escape(k)}", k) for k, v in child.items()]
                elif isinstance(child, Mapping | list):
                    queue.append((child, f"{place}/{escape(key)}", ""))
        elif isinstance(value, list):
            queue += [
                (child, f"{place}/{n}", "")
                for n, child in enumerate(value)
                if isinstance(child, Mapping | list)
            ]
