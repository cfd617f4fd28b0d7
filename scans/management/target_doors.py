"""Targets of this installation, and those of a server, for the `target` command."""

from __future__ import annotations

import uuid

from scans.exports.target_shapes import (
    LOOKUPS,
    TARGETS,
    findings_of_target,
    history,
    memory_shape,
    read_target,
    step_shape,
    target_shape,
    with_newest,
)
from scans.management.doors import Document, Filters, Rejected
from scans.management.here import as_answered
from scans.management.remote import Remote


class TargetsHere:
    """Those of this installation."""

    def list_all(self, filters: Filters, most: int | None) -> list[Document]:
        asked = {LOOKUPS[name]: value for name, value in filters.items()}
        rows = TARGETS.filter(**asked)[:most]
        found = with_newest([target_shape(row) for row in rows])
        return [as_answered(target) for target in found]

    def show(self, target_id: str) -> Document:
        target = read_target(uuid.UUID(target_id))
        if target is None:
            raise Rejected("There is no such target", is_absent=True)
        return as_answered(target)

    def history(self, target_id: str, most: int) -> list[Document]:
        rows = history(uuid.UUID(target_id))[:most]
        return [as_answered(step_shape(row)) for row in rows]

    def findings(
        self, target_id: str, *, is_open: bool, most: int | None
    ) -> list[Document]:
        rows = findings_of_target(uuid.UUID(target_id))
        if is_open:
            rows = rows.filter(resolved_at=None)
        return [as_answered(memory_shape(row)) for row in rows[:most]]


class TargetsThere:
    """Those of a server."""

    def __init__(self, server: Remote) -> None:
        self._server = server

    def list_all(self, filters: Filters, most: int | None) -> list[Document]:
        return self._server.rows("targets", filters, most)

    def show(self, target_id: str) -> Document:
        return self._server.read(f"targets/{target_id}")

    def history(self, target_id: str, most: int) -> list[Document]:
        return self._server.rows(f"targets/{target_id}/history", most=most)

    def findings(
        self, target_id: str, *, is_open: bool, most: int | None
    ) -> list[Document]:
        asked = {"state": "open"} if is_open else {}
        return self._server.rows(f"targets/{target_id}/findings", asked, most)
