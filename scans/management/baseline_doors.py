"""Baselines of this installation, and those of a server, for the `baseline` command."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from apikeys.audit import COMMAND_LINE
from scans import baselines
from scans.choices import Conflict, NotFound, Refused
from scans.exports.shapes import BASELINE_COLUMNS, baseline_shape, read_baseline
from scans.management.doors import Document, Filters, Rejected
from scans.management.here import as_answered
from scans.management.remote import Remote
from scans.models import Baseline


class BaselinesHere:
    """Those of this installation."""

    def create(self, scan_id: str, *, name: str, description: str) -> Document:
        with _rejecting():
            made = baselines.create(
                uuid.UUID(scan_id),
                name=name,
                description=description,
                actor=COMMAND_LINE,
            )
        return self.show(str(made.pk))

    def list_all(self, filters: Filters) -> list[Document]:
        rows = Baseline.objects.order_by("-created_at", "-baseline_id")
        found = rows.filter(**filters).values(*BASELINE_COLUMNS)
        return [as_answered(baseline_shape(row)) for row in found]

    def show(self, baseline_id: str) -> Document:
        baseline = read_baseline(uuid.UUID(baseline_id))
        if baseline is None:
            raise Rejected(baselines.NO_BASELINE)
        return as_answered(baseline)

    def approve(self, baseline_id: str) -> Document:
        with _rejecting():
            baselines.approve(uuid.UUID(baseline_id), actor=COMMAND_LINE)
        return self.show(baseline_id)

    def retire(self, baseline_id: str) -> Document:
        with _rejecting():
            baselines.retire(uuid.UUID(baseline_id), actor=COMMAND_LINE)
        return self.show(baseline_id)

    def compare(self, left_id: str, right_id: str) -> Document:
        with _rejecting():
            found = baselines.compare(uuid.UUID(left_id), uuid.UUID(right_id))
        return as_answered(found)


class BaselinesThere:
    """Those of a server."""

    def __init__(self, server: Remote) -> None:
        self._server = server

    def create(self, scan_id: str, *, name: str, description: str) -> Document:
        wanted = {"scan_id": scan_id, "name": name, "description": description}
        return self._server.act("baselines", wanted)

    def list_all(self, filters: Filters) -> list[Document]:
        return self._server.rows("baselines", filters)

    def show(self, baseline_id: str) -> Document:
        return self._server.read(f"baselines/{baseline_id}")

    def approve(self, baseline_id: str) -> Document:
        return self._server.act(f"baselines/{baseline_id}/approve", {})

    def retire(self, baseline_id: str) -> Document:
        return self._server.act(f"baselines/{baseline_id}/retire", {})

    def compare(self, left_id: str, right_id: str) -> Document:
        wanted = {"left_id": left_id, "right_id": right_id}
        return self._server.act("baselines/compare", wanted)


@contextmanager
def _rejecting() -> Iterator[None]:
    try:
        yield
    except Refused as error:
        raise Rejected(f"{error.field}: {error.message}", is_usage=True) from error
    except (Conflict, NotFound) as error:
        raise Rejected(str(error)) from error
