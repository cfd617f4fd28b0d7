"""The forms that a finished scan can be had in."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from django.conf import settings

from scanners import edition
from scans.exports import (
    csv_table,
    cyclonedx,
    defectdojo,
    html_page,
    json_report,
    junit,
    sarif,
)
from scans.exports.json_text import Pieces, batched, dump
from scans.exports.reading import ScanReport

# The same rows written by other code are other bytes.
_WRITTEN_BY = [edition.on_disk(Path(__file__).parent), *html_page.written_by()]


@dataclass(frozen=True, slots=True)
class Form:
    """One format. `name` is the word of the command line, `suffix` that of the URL."""

    name: str
    suffix: str
    media_type: str
    title: str
    render: Callable[[ScanReport], Pieces]
    headers: Mapping[str, str] = field(default_factory=dict)
    query: str = ""

    @property
    def path(self) -> str:
        """Where it is, below its scan in the API."""
        return f"sbom?{self.query}" if self.query else f"report.{self.suffix}"

    def write(self, report: ScanReport) -> Pieces:
        """Return the document in pieces of some 64 KiB, which raise `Torn` on the way.

        Raises `Conflict` where the scan has no such document.
        """
        return batched(self.render(report))

    def file_name(self, report: ScanReport) -> str:
        """Return a name without anything that a shell, header or file system reads."""
        base = re.sub(r"[^A-Za-z0-9._-]+", "-", report.scan["target"])[-80:]
        name = base.strip(".-") or "target"
        return f"sentrascan-{name}-{report.scan['scan_id'].hex[-8:]}.{self.suffix}"

    def etag(self, report: ScanReport) -> str:
        """Return a strong ETag: equal exactly when every byte would be."""
        parts = [self.name, settings.VERSION, _WRITTEN_BY, edition.LOADED]
        return hashlib.sha256(dump([parts, report.identity])).hexdigest()[:40]


JSON = Form("json", "json", "application/json", "JSON", json_report.render)
SARIF = Form("sarif", "sarif", "application/sarif+json", "SARIF 2.1.0", sarif.render)
CSV = Form(
    "csv", "csv", "text/csv; charset=utf-8; header=present", "CSV", csv_table.render
)
JUNIT = Form("junit", "xml", "application/xml", "JUnit XML", junit.render)
DEFECTDOJO = Form(
    "defectdojo",
    "defectdojo.json",
    "application/json",
    "DefectDojo Generic Findings Import",
    defectdojo.render,
)
HTML = Form(
    "html",
    "html",
    "text/html; charset=utf-8",
    "HTML for people",
    html_page.render,
    html_page.HEADERS,
)
SBOMS = {
    version: Form(
        f"cyclonedx-{version}",
        "cdx.json",
        f"application/vnd.cyclonedx+json; version={version}",
        f"CycloneDX {version}",
        partial(cyclonedx.render, version=version),
        query=f"version={version}",
    )
    for version in cyclonedx.VERSIONS
}
REPORTS = {form.suffix: form for form in (JSON, SARIF, CSV, HTML, JUNIT, DEFECTDOJO)}
FORMS = {form.name: form for form in (*REPORTS.values(), *SBOMS.values())}
