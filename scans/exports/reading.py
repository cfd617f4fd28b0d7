"""One finished scan as the exports see it: its rows, read once, findings as a stream.

Findings are never held all at once: a scan may have 50,000. Each walk over them is one
query whose rows come in chunks; the rest costs the same few queries for every scan.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Max

from scanners.contract import Category, Severity
from scans.choices import Conflict, NotFound
from scans.comparing import kinds_in
from scans.exports.shapes import FINDING_COLUMNS, Row, finding_shape, read_scan_detail
from scans.gate import DEFAULT_DOCUMENT, JudgedFinding, PolicyRules, breach
from scans.models import FINISHED, Finding, Scan, ScanFile

CHUNK = 1_000
COLUMNS = tuple(name for name in FINDING_COLUMNS if name != "waiver_id")


class Torn(Exception):
    """The scan was deleted while it was written: the rest of it is not to be had."""


@dataclass(frozen=True, slots=True)
class Found:
    """How often one scanner's rule was found in the scan, and at worst how severe."""

    scanner: str
    rule: str
    count: int
    worst: Severity


@dataclass(frozen=True, slots=True)
class ScanReport:
    """`scan` is the scan as the API answers it, with its runs.

    `file` is what the locations of an MCP document are in: the submitted file's name.
    """

    scan: Row
    found: tuple[Found, ...]
    rules: PolicyRules
    known: frozenset[str]
    file: str

    def findings(self, scanner: str = "") -> Iterator[Row]:
        """Yield findings as the API answers them, worst first; of one scanner or all.

        Waived is what was so when the scan was judged: a report tells of a verdict, and
        does not change when a waiver ends. Each has two members more: `breach`, why it
        breaks the gate, or ''; `waiver`, of those of the scan, or None. Raises `Torn`.
        """
        applied = {each["fingerprint"]: each for each in self.scan["waivers"]}
        rows = Finding.objects.filter(scan_id=self.scan["scan_id"])
        if scanner:
            rows = rows.filter(scanner=scanner)
        left = sum(each.count for each in self.found if scanner in {"", each.scanner})
        ordered = rows.order_by("-severity", "finding_id").values(*COLUMNS)
        for row in ordered.iterator(chunk_size=CHUNK):
            left -= 1
            waiver = applied.get(row["fingerprint"])
            row["waiver_id"] = waiver["waiver_id"] if waiver else None
            finding = finding_shape(row)
            yield finding | {"breach": self._breach(finding), "waiver": waiver}
        if left:
            raise Torn(f"{left} findings of {self.scan['scan_id']} are gone")

    def _breach(self, finding: Row) -> str:
        if self.scan["verdict"] != "fail":
            # Whatever we would say of it now: this is what was judged then.
            return ""
        return breach(self.rules, judged(finding, self.known))

    @property
    def identity(self) -> object:
        """What decides every byte of an export, findings aside: those never change."""
        found = [(each.scanner, each.rule, each.count) for each in self.found]
        return [self.scan, found, self.file]

    @property
    def runs(self) -> list[Row]:
        """The runs; one more for each scanner that has findings and no run."""
        runs: list[Row] = list(self.scan["runs"])
        named = {run["scanner"] for run in runs}
        left = sorted({each.scanner for each in self.found} - named)
        return runs + [{"scanner": name} for name in left]


def waiver_note(finding: Row) -> str:
    """Say who accepted a waived finding, why and until when; '' for any other."""
    if (waiver := finding["waiver"]) is None:
        return ""
    by, end = waiver["created_by"], waiver["expires_at"]
    return f"{waiver['reason']} (waived by {by} until {end:%Y-%m-%d %H:%M} UTC)"


def judged(finding: Row, known: frozenset[str]) -> JudgedFinding:
    """Return what the gate needs to know of a finding in the API's shape."""
    return JudgedFinding(
        rule=finding["rule"],
        severity=Severity[finding["severity"].upper()],
        category=Category(finding["category"]),
        title=finding["title"],
        is_known=finding["fingerprint"] in known,
        is_waived=finding["waived"],
        drift=kinds_in(finding["evidence"]),
    )


def read_report(scan_id: uuid.UUID) -> ScanReport:
    """Return what the exports of a scan are written from.

    Raises `NotFound`, and `Conflict` while the scan is not finished.
    """
    scan = read_scan_detail(scan_id)
    if scan is None:
        raise NotFound("There is no such scan")
    if scan["scan_status"] not in FINISHED:
        raise Conflict(f"The scan is {scan['scan_status']}: it has no report yet")
    row = Scan.objects.filter(pk=scan_id)
    document, snapshot = row.values_list(
        "policy__document", "baseline__snapshot"
    ).first() or (None, None)
    rules = PolicyRules.from_document(document or DEFAULT_DOCUMENT)
    known: Mapping[str, Any] = (snapshot or {}) if rules.only_new else {}
    return ScanReport(
        scan=scan,
        found=tuple(_found(scan_id)),
        rules=rules,
        known=frozenset(known.get("fingerprints", ())),
        file=_file(scan),
    )


def _found(scan_id: uuid.UUID) -> Iterator[Found]:
    rows = Finding.objects.filter(scan_id=scan_id).order_by("scanner", "rule")
    counted = rows.values("scanner", "rule").annotate(
        count=Count("pk"), worst=Max("severity")
    )
    for row in counted:
        worst = Severity(row["worst"])
        yield Found(row["scanner"], row["rule"], row["count"], worst)


def _file(scan: Row) -> str:
    names = ScanFile.objects.filter(scan_id=scan["scan_id"]).values_list("name")
    first = names.order_by("name").first()
    return str(first[0] if first else scan["target"])
