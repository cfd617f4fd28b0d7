"""The scan as the API answers it, with all of its findings, in one document."""

from __future__ import annotations

from pathlib import Path

from scans.exports.json_text import Pieces, object_with, values
from scans.exports.reading import ScanReport

SCHEMA = Path(__file__).with_name("report.schema.json")
SCHEMA_ID = "urn:sentrascan:schema:report:1"


def render(report: ScanReport) -> Pieces:
    head = {"$schema": SCHEMA_ID, **report.scan}
    return object_with(head, "findings", values(report.findings()))
