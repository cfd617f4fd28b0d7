"""What a comparison gives: changes, the drift of one element, all of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from scanners.contract import Severity


class Kind(StrEnum):
    """What a policy decides by."""

    ADDED = "added"
    REMOVED = "removed"
    RENAMED = "renamed"
    CHANGED = "changed"


class Nature(StrEnum):
    """What a change means to whoever uses the target."""

    ELEMENT = "element"  # the whole of it came or went
    NAME = "name"
    DESCRIPTION = "description"  # text that a model reads
    HIDDEN_UNICODE = "hidden_unicode"
    SCHEMA_WIDENED = "schema_widened"  # takes more than before
    SCHEMA_NARROWED = "schema_narrowed"
    SCHEMA_CHANGED = "schema_changed"  # nobody can say in which direction
    ANNOTATION = "annotation"
    PERMISSION = "permission"  # what a client lets it do unasked
    COMMAND = "command"  # the program, its arguments, where it runs
    ENVIRONMENT = "environment"
    ENDPOINT = "endpoint"
    CONTENT = "content"  # the bytes of a file
    FORMAT = "format"
    INSIDE = "inside"  # what a tool saw inside a file
    OTHER = "other"


# A definition that people approved and that says something else now is a rug pull.
SEVERITIES = {
    Nature.ELEMENT: Severity.MEDIUM,
    Nature.NAME: Severity.MEDIUM,
    Nature.DESCRIPTION: Severity.HIGH,
    Nature.HIDDEN_UNICODE: Severity.CRITICAL,
    Nature.SCHEMA_WIDENED: Severity.HIGH,
    Nature.SCHEMA_NARROWED: Severity.MEDIUM,
    Nature.SCHEMA_CHANGED: Severity.HIGH,
    Nature.ANNOTATION: Severity.HIGH,
    Nature.PERMISSION: Severity.HIGH,
    Nature.COMMAND: Severity.HIGH,
    Nature.ENVIRONMENT: Severity.HIGH,
    Nature.ENDPOINT: Severity.HIGH,
    Nature.CONTENT: Severity.MEDIUM,
    Nature.FORMAT: Severity.HIGH,
    Nature.INSIDE: Severity.MEDIUM,
    Nature.OTHER: Severity.MEDIUM,
}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `path` is a JSON pointer into the element's definition, "" the
    whole of it; `before` and `after` are None where there is nothing.
    """

    kind: Kind
    element: str
    path: str
    before: Any
    after: Any
    nature: Nature
    severity: Severity


@dataclass(frozen=True, slots=True)
class ElementDrift:
    """All that is otherwise about one element, the gravest first.

    `element` is its path now, or the old one where it is gone; `former` the old one of
    a renamed element, else "". `omitted` counts further changes that are not listed.
    """

    element: str
    changes: tuple[Change, ...]
    former: str = ""
    omitted: int = 0

    @property
    def severity(self) -> Severity:
        return max(change.severity for change in self.changes)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Return what a policy has to allow, all of it: a renamed one may be both."""
        found = {change.kind for change in self.changes}
        return tuple(kind for kind in Kind if kind in found)

    @property
    def natures(self) -> tuple[Nature, ...]:
        return tuple(dict.fromkeys(change.nature for change in self.changes))


@dataclass(frozen=True, slots=True)
class Comparison:
    """`not_compared` are sentences: what could not be told, and why."""

    drifts: tuple[ElementDrift, ...] = ()
    not_compared: tuple[str, ...] = ()

    @property
    def changes(self) -> list[Change]:
        return [change for drift in self.drifts for change in drift.changes]
