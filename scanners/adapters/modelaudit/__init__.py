"""modelaudit: code, links, secrets and malformed structures in model files.

The report's exit code alone lies: it is 0 for a file that nobody opened, 1 for an
analysis that broke off with a warning. What counts is per file: an asset with a known
type, and nothing in `file_metadata`, `issues` or `checks` that calls it incomplete.
"""

from __future__ import annotations

from collections.abc import Mapping

from scanners.adapters.modelaudit.coverage import coverage_of
from scanners.adapters.modelaudit.document import entries_of, members_of, read_document
from scanners.adapters.modelaudit.findings import findings_of
from scanners.adapters.modelaudit.inside import inside_of
from scanners.adapters.modelaudit.places import Places
from scanners.contract import (
    Command,
    Completed,
    Report,
    Scanner,
    ScannerError,
    Target,
    TargetKind,
)
from scanners.registry import register

REPORT = "report.json"
ENVIRONMENT = {
    "PROMPTFOO_DISABLE_TELEMETRY": "1",
    "NO_ANALYTICS": "1",
    "NO_COLOR": "1",
    # numpy's BLAS otherwise starts a thread per core.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


@register
class ModelAudit(Scanner):
    name = "modelaudit"
    kinds = frozenset({TargetKind.MODEL})
    entry_point = "modelaudit.__main__:_run"
    distribution = "modelaudit"
    # The last two are imported by its command line when a scan begins: half its time.
    warm_up = ("modelaudit.scanners.*", "modelaudit.cli", "modelaudit.protos.*")

    def command(self, target: Target) -> Command:
        """Always the directory, also of a single file: results are the same, and a
        name that begins with `-` never becomes an argument.
        """
        options = ("--format", "json", "--output", "{scratch}/" + REPORT)
        switches = ("--no-cache", "--no-whitelist", "--quiet")
        return Command(
            arguments=("scan", *options, *switches, "--", str(target.root)),
            environment=ENVIRONMENT,
            outputs=(REPORT,),
        )

    def parse(self, target: Target, completed: Completed) -> Report:
        document = read_document(completed, REPORT)
        places = Places(target, members_of(document))
        entries = [*entries_of(document, "issues"), *entries_of(document, "checks")]
        if any(entry.details.get("interrupted") for entry in entries):
            raise ScannerError("modelaudit was interrupted")
        return Report(
            findings=tuple(findings_of(document, places)),
            coverage=coverage_of(document, places, entries, completed.exit_code),
            inside=inside_of(document, places),
        )

    def bait(self) -> Mapping[str, bytes]:
        # In pieces, so that our own source is no finding of other scanners.
        call = (b"\x80\x02c", b"po", b"six\nsys", b"tem\nX\x04\x00\x00\x00true\x85R.")
        return {"bait.pkl": b"".join(call)}
