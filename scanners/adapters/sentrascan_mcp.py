"""Our own engine for MCP documents: what the tools leave out.

The rules run as a program of their own (`scanners.mcp_rules.command`), in the sandbox
like every tool: they read what a stranger wrote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from scanners.catalogue import lookup
from scanners.contract import (
    Command,
    Completed,
    Coverage,
    Location,
    Observed,
    Report,
    ReportedFinding,
    Scanner,
    ScannerError,
    Severity,
    Skipped,
    Target,
    TargetKind,
)
from scanners.documents import paths_of
from scanners.mcp_rules.servers import located_servers
from scanners.registry import register
from scanners.wording import clean

PIECES = ("config", "tools", "prompts", "resources", "instructions")
# The first token of a pointer into the document, and the elements below it.
LISTS = ("tools", "prompts", "resources")
PARTS = ("secrets", "matches", "unread")  # of a report
INDEX = re.compile(r"/\d+(?=/|\Z)")
ASKED = (
    "Servers were asked for their lists; no tool was called and their files were not "
    "examined. What a server that we start tries and the sandbox refuses, at the "
    "network or at other files, leaves no trace."
)


@register
class SentrascanMcp(Scanner):
    name = "sentrascan-mcp"
    kinds = frozenset({TargetKind.MCP})
    entry_point = "scanners.mcp_rules.command:main"
    distribution = ""
    warm_up = ("scanners.mcp_rules.command:load()",)

    def command(self, target: Target) -> Command:
        document = target.document or {}
        pieces = {name: document.get(name) for name in PIECES}
        return Command(
            arguments=("document.json", "report.json"),
            files={"document.json": json.dumps(pieces).encode()},
            outputs=("report.json",),
        )

    def parse(self, target: Target, completed: Completed) -> Report:
        document = target.document or {}
        report = _report(completed)
        paths = paths_of(document)
        pointers = {
            f"/config{server.pointer}": path
            for server, path in zip(
                located_servers(document), paths["servers"], strict=True
            )
        }
        findings = [_secret(each, pointers, paths) for each in report["secrets"]]
        findings += [_match(each, pointers, paths) for each in report["matches"]]
        findings += map(_observed, target.observed)
        notes = (ASKED,) if document.get("origins") else ()
        failed = tuple(_gap(each, pointers, paths) for each in report["unread"])
        # Every other text of the document is examined, whatever it belongs to.
        scanned = frozenset(element.path for element in target.elements)
        scanned -= {gap.path for gap in failed}
        coverage = Coverage(scanned=scanned, failed=failed, notes=notes)
        return Report(tuple(findings), coverage)

    def bait(self) -> Mapping[str, Any]:
        secret = "ghp_" + "aB3dE5fG7hI9" * 3
        server = {"command": "npx", "env": {"GITHUB_TOKEN": secret}}
        return {
            "config": {"mcpServers": {"github": server}},
            "tools": [],
            "prompts": [],
            "resources": [],
            "instructions": None,
        }


def _report(completed: Completed) -> dict[str, list[dict[str, Any]]]:
    if completed.exit_code != 0:
        raise ScannerError(f"sentrascan-mcp ended with exit code {completed.exit_code}")
    try:
        report = json.loads(completed.outputs["report.json"])
        return {part: list(report[part]) for part in PARTS}
    except (KeyError, ValueError, TypeError) as error:
        raise ScannerError("sentrascan-mcp wrote no readable report") from error


def _secret(
    entry: Mapping[str, Any],
    servers: Mapping[str, str],
    paths: Mapping[str, list[str]],
) -> ReportedFinding:
    location = _location(entry["pointer"], servers, paths)
    place = location.path or "the configuration"
    rule = lookup(SentrascanMcp.name, entry["rule"], tool_severity=Severity.HIGH)
    return ReportedFinding(
        rule=rule,
        title=f"{rule.title}: {entry['field']} of {place}",
        description=f"{entry['kind']} in {entry['field']} of {place}.",
        location=location,
        evidence={
            "path": entry["pointer"],
            "field": entry["field"],
            "kind": entry["kind"],
            "value": entry["masked"],
        },
        element=location.path,
        evidence_key=f"{entry['place']} {entry['digest']}".strip(),
    )


def _match(
    entry: Mapping[str, Any],
    servers: Mapping[str, str],
    paths: Mapping[str, list[str]],
) -> ReportedFinding:
    """Read one match of a rule; what it quotes comes from the document."""
    location = _location(entry["pointer"], servers, paths)
    rule = lookup(SentrascanMcp.name, entry["rule"], tool_severity=Severity.HIGH)
    place = clean(location.path or "the configuration", 200)
    field = clean(entry["field"], 200)
    matched = [
        {
            "sign": span["sign"],
            "text": clean(span["shown"], 300),
            "start": span["start"],
            "end": span["end"],
        }
        for span in entry["spans"]
    ]
    evidence: dict[str, Any] = {"path": entry["pointer"], "field": field}
    evidence["matched"] = matched
    signs = ", ".join(dict.fromkeys(each["sign"] for each in matched))
    said = f"Found in the {field} of {place}"
    said += f": {signs}." if signs else "."
    if entry["seen"]:
        evidence["seen"] = entry["seen"]
        said += f" It was {entry['seen']}."
    # Positions in lists move when somebody adds an entry; names do not.
    inside = INDEX.sub("/*", entry["pointer"].removeprefix(entry["element"]))
    return ReportedFinding(
        rule=rule,
        title=f"{rule.title}: {place}",
        description=f"{said} {rule.why}".strip(),
        location=location,
        evidence=evidence,
        element=location.path,
        evidence_key=f"{inside} {entry['key']}".strip(),
    )


def _gap(
    entry: Mapping[str, Any],
    servers: Mapping[str, str],
    paths: Mapping[str, list[str]],
) -> Skipped:
    path = _location(entry["pointer"], servers, paths).path
    return Skipped(path, f"not read to its end: {clean(entry['why'], 300)}")


def _observed(seen: Observed) -> ReportedFinding:
    rule = lookup(SentrascanMcp.name, seen.code, tool_severity=Severity.HIGH)
    server = seen.path.partition("/")[2]
    return ReportedFinding(
        rule=rule,
        title=f"{rule.title}: {server}",
        description=f"{seen.detail}.",
        location=Location(path=seen.path, server=server),
        evidence={"observed": seen.detail},
        element=seen.path,
        evidence_key=seen.key,
    )


def _location(
    pointer: str, servers: Mapping[str, str], paths: Mapping[str, list[str]]
) -> Location:
    # Upwards from the place itself: one look for each level, however many servers.
    above = pointer
    while above:
        if path := servers.get(above):
            return Location(path=path, server=path.partition("/")[2])
        above = above.rpartition("/")[0]
    kind, _, rest = pointer.removeprefix("/").partition("/")
    if kind in LISTS:
        path = paths[kind][int(rest.partition("/")[0])]
        name = path.partition("/")[2] if kind == "tools" else None
        return Location(path=path, tool=name)
    return Location(path="instructions" if kind == "instructions" else "")
