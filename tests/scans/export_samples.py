"""Finished scans with all that exports have to cope with."""

from __future__ import annotations

import uuid
from typing import Any

from scanners.contract import Category, Severity
from scans.exports.forms import Form
from scans.exports.reading import ScanReport, read_report
from scans.models import Finding, Scan
from tests.scans.api_samples import DIGEST, make_finding, make_run, make_scan

# What tools quote comes from attackers: each format has its own trap.
HOSTILE = (
    '=HYPERLINK("http://evil.example","x")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "]]> &amp; &lt;![CDATA[",
    "[click](http://evil.example) {0} {{1}}",
    "a\x1b[2Jb\x07\x0b\x7f\u202e\ufffe",
    'comma, "quote"\nline',
    "漢字 é \U0001f600",
    "",
)
COVERAGE = {
    "complete": True,
    "files_total": 2,
    "files_scanned": 2,
    "files_inert": 0,
    "bytes_scanned": 10,
    "skipped": [],
    "notes": ["The online look-up cannot run here."],
}
GAPS = COVERAGE | {
    "complete": False,
    "files_scanned": 1,
    "skipped": [{"path": "we ird/ü%:#?.bin", "reason": "no scanner opens this format"}],
}


def failed_scan(**fields: Any) -> Scan:
    """A scan of a folder with one finding for each hostile text, worst first."""
    values = {
        "target": "models",
        "verdict": "fail",
        "reasons": ["Dangerous import os.system (modelaudit:S201, critical)"],
        "digest": DIGEST,
        "total_findings": len(HOSTILE),
    }
    scan = make_scan(**values | fields)
    make_run(
        scan, "modelaudit", tool_version="0.2.54", coverage=COVERAGE, duration_ms=1500
    )
    make_run(scan, "sentrascan-files", coverage=GAPS)
    for number, text in enumerate(HOSTILE):
        make_finding(
            scan,
            number,
            severity=list(Severity)[-1 - number % len(Severity)],
            title=text or "Plain",
            description=text,
            location={"path": f"d/{text}" if text else "", "member": text or None},
            evidence={"seen": text, "big": 2**70, "list": [None, 1.5]},
            remediation="Do not load it.",
            rule="modelaudit:S201" if number % 2 else "modelaudit:BRAND_NEW",
            category=Category.DESERIALIZATION,
        )
    return scan


def many_findings(count: int) -> Scan:
    """A scan with `count` findings of ordinary size."""
    scan = failed_scan(total_findings=count)
    rows = (
        Finding(
            scan=scan,
            scanner="modelaudit",
            rule="modelaudit:S201",
            severity=Severity.HIGH,
            category=Category.DESERIALIZATION,
            title=f"Found REDUCE opcode invoking dangerous global number {number}",
            description="It runs when the file is loaded. " * 5,
            location={"path": f"deep/model-{number}.pkl", "byte_offset": number},
            evidence={"opcode": "REDUCE", "import_reference": "posix.system"},
            remediation="Do not load this file. Ask its author for safetensors.",
            taxonomy={"cwe": ["CWE-502"], "owasp_llm": ["LLM03"], "atlas": []},
            fingerprint=f"v1:{1_000 + number:064x}",
        )
        for number in range(count - len(HOSTILE))
    )
    Finding.objects.insert_many(list(rows))
    return scan


def report_of(scan: Scan) -> ScanReport:
    return read_report(uuid.UUID(str(scan.pk)))


def written(form: Form, scan: Scan) -> bytes:
    return b"".join(form.write(report_of(scan)))
