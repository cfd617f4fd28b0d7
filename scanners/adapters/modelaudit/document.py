"""The JSON report of modelaudit, with the types that it promises."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scanners.contract import Completed, ScannerError
from scanners.wording import clean

MAX_REPORT_BYTES = 64 << 20  # five times that in memory, once parsed
# A check that needs the source of the imported library beside the tool. The import
# itself is on the tool's allow list, and is reported.
SOURCE_UNAVAILABLE = "call_graph_source_unavailable"
# A weakness of some PyTorch versions: the tool asks for the one beside it.
LOADER_UNKNOWN = "runtime_version_unknown"
# It tells only some dozens of addresses of a text apart: a README often has more.
ADDRESS_LIMIT = "text_content_security_finding_limit"
DOCUMENTATION = "text_check"
INCOMPLETE = ("analysis_incomplete", "operational_error", "parsing_failed")
WEIGHT_STATISTICS = "onnx_weight_distribution_analysis_incomplete"
REFERENCES = ("import_reference", "associated_global", "op_type", "entry", "tensor")


@dataclass(frozen=True, slots=True)
class Entry:
    """An issue or a check of the report, with the types that it promises."""

    message: str
    severity: str
    location: str
    type: str
    code: str
    why: str
    details: Mapping[str, Any]

    @property
    def note(self) -> str:
        """The key in `NOTES` that this entry is about, or ""."""
        if self.details.get("notice_code") == SOURCE_UNAVAILABLE:
            return SOURCE_UNAVAILABLE
        if self.details.get("runtime_cve_version_gate") == "local_environment_only":
            return LOADER_UNKNOWN
        reason = self.details.get("scan_outcome_reason")
        is_network = self.details.get("detector") == "network_communication"
        if is_network and reason == ADDRESS_LIMIT:
            return ADDRESS_LIMIT
        return WEIGHT_STATISTICS if reason == WEIGHT_STATISTICS else ""

    @property
    def is_gap(self) -> bool:
        """Whether it says that something was not examined."""
        if any(self.details.get(mark) for mark in INCOMPLETE):
            return True
        is_broken = self.severity == "critical" or "exception" in self.details
        is_operator = "op_type" in self.details
        return self.code in {"S902", "S999"} and is_broken and not is_operator

    @property
    def is_too_deep(self) -> bool:
        reason = str(self.details.get("scan_outcome_reason") or "")
        return self.is_gap and reason.endswith("depth_limit")

    @property
    def reference(self) -> str:
        """What it is about: an import, an operator, an archive entry; or ""."""
        values = (self.details.get(name) for name in REFERENCES)
        return next((value for value in values if isinstance(value, str) and value), "")


def read_document(completed: Completed, name: str) -> dict[str, Any]:
    raw = completed.outputs.get(name)
    if raw is None:
        last = completed.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        said = f": {clean(last[0], 300)}" if last else ""
        ended = f"it ended with {completed.exit_code}"
        raise ScannerError(f"modelaudit wrote no report, {ended}{said}")
    if completed.exit_code not in (0, 1, 2):
        raise ScannerError(f"modelaudit ended with {completed.exit_code}")
    if len(raw) > MAX_REPORT_BYTES:
        raise ScannerError(f"modelaudit's report exceeds {MAX_REPORT_BYTES} bytes")
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ScannerError("modelaudit's report is not JSON") from error
    shape = {"issues": list, "checks": list, "assets": list, "file_metadata": dict}
    if not isinstance(document, dict) or any(
        not isinstance(document.get(key), kind) for key, kind in shape.items()
    ):
        raise ScannerError("modelaudit's report has another shape than the known one")
    if why := _contradiction(document, completed.exit_code):
        raise ScannerError(f"modelaudit's report contradicts itself: {why}")
    return document


def _contradiction(document: Mapping[str, Any], exit_code: int) -> str:
    """Return what does not add up, or "". Measured with 0.2.54 on 5,000 files: the
    totals fit to the unit, so one that does not has lost something. Nor is there an
    entry without a message.
    """
    checks, issues = document["checks"], document["issues"]
    if not all(entry.get("message") for entry in (*checks, *issues)):
        return "an entry says nothing"
    passed = sum(check.get("status") == "passed" for check in checks)
    failed = [check for check in checks if check.get("status") == "failed"]
    if passed != document.get("passed_checks"):
        return "checks that passed are missing"
    if _grave(failed) != document.get("failed_checks"):
        return "checks that failed are missing"
    if _grave(issues) < _grave(failed) or (exit_code == 1 and not _grave(issues)):
        return "issues are missing"
    if len(document["assets"]) != document.get("files_scanned"):
        return "files are missing"
    return ""


def _grave(entries: list[Mapping[str, Any]]) -> int:
    return sum(entry.get("severity") in ("critical", "warning") for entry in entries)


def entries_of(document: Mapping[str, Any], key: str) -> Iterator[Entry]:
    for raw in document[key]:
        details = raw.get("details") or {}
        yield Entry(
            message=str(raw.get("message", "")),
            severity=str(raw.get("severity", "")),
            location=str(raw.get("location", "")),
            type=str(raw.get("type") or ""),
            code=str(raw.get("rule_code") or ""),
            why=str(raw.get("why") or ""),
            details=details if isinstance(details, dict) else {},
        )


def members_of(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (path of the file, name of a member), as the tool writes both."""
    for path, metadata in document["file_metadata"].items():
        for hashed in (metadata.get("member_file_hashes") or {}).values():
            yield path, str(hashed.get("logical_path", ""))
    for asset in document["assets"]:
        for member in asset.get("contents") or ():
            yield asset["path"], str(member["path"]).removeprefix(asset["path"] + ":")
