"""sentrascan-files: our own program for the small files that no tool opens.

Strict JSON, git's own files, vocabularies, SentencePiece models, documentation and
pictures. Programs and YAML are not its business: they stay a gap.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from scanners.catalogue import lookup
from scanners.contract import (
    Category,
    Command,
    Completed,
    Coverage,
    Location,
    Report,
    ReportedFinding,
    Scanner,
    ScannerError,
    Severity,
    Skipped,
    Target,
    TargetKind,
)
from scanners.registry import register
from scanners.wording import clean

ELEMENTS, REPORT = "elements.json", "report.json"
REPORT_FORMAT = 1
STATUSES = frozenset({"scanned", "inert", "failed", "unclaimed"})
INDEX = re.compile(r"/\d+(?=/|\Z)")


@register
class SentrascanFiles(Scanner):
    name = "sentrascan-files"
    kinds = frozenset({TargetKind.MODEL})
    entry_point = "scanners.file_rules.command:main"
    distribution = ""

    def command(self, target: Target) -> Command:
        paths = [element.path for element in target.elements]
        scratch = "{scratch}/"
        return Command(
            arguments=(str(target.root), scratch + ELEMENTS, scratch + REPORT),
            files={ELEMENTS: json.dumps(paths).encode()},
            outputs=(REPORT,),
        )

    def parse(self, target: Target, completed: Completed) -> Report:
        files = _files(target, completed)
        by_status: dict[str, list[Mapping[str, Any]]] = {name: [] for name in STATUSES}
        for file in files:
            by_status[file["status"]].append(file)
        coverage = Coverage(
            scanned=frozenset(file["path"] for file in by_status["scanned"]),
            inert=frozenset(file["path"] for file in by_status["inert"]),
            failed=tuple(
                Skipped(file["path"], clean(file["reason"], 300))
                for file in by_status["failed"]
            ),
            identified={f["path"]: f["format"] for f in files if f["is_identified"]},
            bytes_scanned=sum(file["size_bytes"] for file in by_status["scanned"]),
        )
        findings = (
            _finding(file, match) for file in files for match in file["matches"]
        )
        inside = {f["path"]: {"format": f["format"]} for f in files if f["format"]}
        return Report(findings=tuple(findings), coverage=coverage, inside=inside)

    def bait(self) -> Mapping[str, bytes]:
        # In pieces, so that our own source is no finding of other scanners.
        inner = "__" + "globals" + "__"
        template = "{{ lipsum." + inner + "['o' 's'].popen('true') }}"
        return {
            "tokenizer_config.json": json.dumps({"chat_template": template}).encode()
        }


def _files(target: Target, completed: Completed) -> list[dict[str, Any]]:
    """Return the report's entries: exactly one for each element, or `ScannerError`."""
    raw = completed.outputs.get(REPORT)
    if completed.exit_code != 0 or raw is None:
        last = completed.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        said = f": {clean(last[0], 300)}" if last else ""
        raise ScannerError(f"sentrascan-files ended with {completed.exit_code}{said}")
    try:
        document = json.loads(raw)
    except ValueError as error:
        raise ScannerError("the report of sentrascan-files is not JSON") from error
    if not isinstance(document, dict) or document.get("format") != REPORT_FORMAT:
        raise ScannerError("the report of sentrascan-files has an unknown format")
    files: list[dict[str, Any]] = document["files"]
    asked = sorted(element.path for element in target.elements)
    if sorted(file["path"] for file in files) != asked:
        raise ScannerError("sentrascan-files did not answer for every file")
    if any(file["status"] not in STATUSES for file in files):
        raise ScannerError("the report of sentrascan-files has an unknown status")
    return files


def _finding(file: Mapping[str, Any], match: Mapping[str, Any]) -> ReportedFinding:
    place, texts = str(match["place"]), [clean(text, 200) for text in match["texts"]]
    rule = lookup(
        SentrascanFiles.name,
        match["rule"],
        tool_severity=Severity.HIGH,
        category=Category.OTHER,
    )
    evidence: dict[str, Any] = {"matched": texts}
    if place:
        evidence["place"] = clean(place, 500)
    offset = place.removeprefix("byte ") if place.startswith("byte ") else ""
    return ReportedFinding(
        rule=rule,
        title=f"{rule.title}: {texts[0]}" if texts else rule.title,
        description=_description(file["format"], place),
        location=Location(file["path"], byte_offset=int(offset) if offset else None),
        evidence=evidence,
        # Positions in lists move when somebody adds an entry; names do not.
        element="" if offset else clean(INDEX.sub("/*", place), 500),
        evidence_key=" ".join(sorted({" ".join(t.lower().split()) for t in texts})),
    )


def _description(format: str, place: str) -> str:
    where = f" at {clean(place, 500)}" if place else ""
    return f"{format or 'File'}{where}"
