"""CycloneDX: what a scan looked at, as an ML or MCP bill of materials.

Written by ourselves, since the library for it holds every vulnerability as a tree of
objects; its strict validator and its reader prove in the tests what is written here.
Nothing is invented: what the rows do not say is left out.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from scanners.contract import TargetKind
from scans.choices import Conflict
from scans.exports.json_text import Pieces, object_with, values
from scans.exports.mcp_services import Services, read_services
from scans.exports.places import where
from scans.exports.reading import ScanReport, waiver_note
from scans.exports.shapes import Row
from scans.models import ScanSnapshot

VERSIONS = ("1.6", "1.7")
TARGET = "target"
# Arrays and tables: data that is loaded beside a model.
DATA = (".npy", ".npz", ".csv", ".tsv", ".parquet", ".arrow", ".jsonl", ".msgpack")


@dataclass(frozen=True, slots=True)
class Inventory:
    """What was looked at: elements as stored, and the MCP document with its servers."""

    elements: Sequence[Mapping[str, Any]]
    services: Services | None


def render(report: ScanReport, version: str) -> Pieces:
    """Return the document as a stream; raise `Conflict` where nothing was looked at."""
    inventory = read_inventory(report)
    head = {
        "$schema": f"http://cyclonedx.org/schema/bom-{version}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": version,
        "serialNumber": uuid.uuid5(report.scan["scan_id"], version).urn,
        "version": 1,
        "metadata": _metadata(report),
        **_parts(inventory),
        "compositions": [
            {"aggregate": _completeness(report), "assemblies": [TARGET]},
        ],
    }
    refs = {each["path"]: f"element/{each['path']}" for each in inventory.elements}
    found = (_vulnerability(each, inventory, refs) for each in report.findings())
    return object_with(head, "vulnerabilities", values(found))


def read_inventory(report: ScanReport) -> Inventory:
    """Return what the scan looked at; raise `Conflict` where that was nothing."""
    rows = ScanSnapshot.objects.filter(pk=report.scan["scan_id"])
    elements, document = rows.values_list("elements", "document").first() or ([], None)
    if not elements:
        raise Conflict("Nothing was examined in this scan: there is no SBOM")
    is_mcp = report.scan["scan_type"] == TargetKind.MCP
    target = report.scan["target"]
    services = read_services(document or {}, elements, target) if is_mcp else None
    return Inventory(elements, services)


def _metadata(report: ScanReport) -> Row:
    scan = report.scan
    ours = {"type": "application", "name": "SentraScan", "version": settings.VERSION}
    tools = [ours] + [
        {"type": "application", "name": run["scanner"]}
        | ({"version": run["tool_version"]} if run["tool_version"] else {})
        for run in scan["runs"]
    ]
    is_mcp = scan["scan_type"] == TargetKind.MCP
    component: Row = {
        "type": "application" if is_mcp else "machine-learning-model",
        "bom-ref": TARGET,
        "name": scan["target"] or "target",
        "properties": _properties(
            {
                "scan_id": str(scan["scan_id"]),
                "digest": scan["digest"] or "",
                "verdict": scan["verdict"] or scan["scan_status"],
                "policy": f"{scan['policy']['name']} v{scan['policy']['version']}",
            }
        ),
    }
    return {
        "timestamp": scan["finished_at"],
        "tools": {"components": tools},
        "component": component,
    }


def _parts(inventory: Inventory) -> Row:
    """Return components, services and which of them the target consists of."""
    if (services := inventory.services) is not None:
        needs = [{"ref": TARGET, "dependsOn": [s["bom-ref"] for s in services.entries]}]
        needs += [{"ref": s, "dependsOn": [p]} for s, p in services.started_from]
        return {
            "components": services.packages,
            "services": services.entries,
            "dependencies": needs,
        }
    components = [_file(element) for element in inventory.elements]
    refs = [component["bom-ref"] for component in components]
    return {
        "components": components,
        "dependencies": [{"ref": TARGET, "dependsOn": refs}],
    }


def _file(element: Mapping[str, Any]) -> Row:
    path = element["path"]
    component: Row = {
        "type": "data" if path.lower().endswith(DATA) else "file",
        "bom-ref": f"element/{path}",
        "name": path,
    }
    if digest := element.get("digest"):
        component["hashes"] = [{"alg": "SHA-256", "content": digest}]
    return component | {
        "properties": _properties({"size": str(element.get("size", 0))})
    }


def _completeness(report: ScanReport) -> str:
    runs = report.scan["runs"]
    is_whole = bool(runs) and all(run["coverage"]["complete"] for run in runs)
    return "complete" if is_whole else "incomplete"


def _vulnerability(finding: Row, inventory: Inventory, refs: Mapping[str, str]) -> Row:
    code = finding["rule"].partition(":")[2]
    is_cve = code.startswith("CVE-")
    entry: Row = {
        "bom-ref": f"finding/{finding['finding_id']}",
        "id": code if is_cve else finding["rule"],
        "source": _nvd(code) if is_cve else {"name": finding["scanner"]},
        "ratings": [
            {
                "source": {"name": "SentraScan"},
                "severity": finding["severity"],
                "method": "other",
            }
        ],
        "description": finding["title"],
        "recommendation": finding["remediation"],
        "created": finding["created_at"],
        "analysis": _analysis(finding),
        "affects": [{"ref": _affected(finding, inventory, refs)}],
        "properties": _properties(
            {
                "rule": finding["rule"],
                "fingerprint": finding["fingerprint"],
                "category": finding["category"],
                "where": where(finding),
                "breach": finding["breach"],
                "owasp_llm": " ".join(finding["owasp_llm"]),
                "owasp_mcp": " ".join(finding["owasp_mcp"]),
                "atlas": " ".join(finding["atlas"]),
            }
        ),
    }
    if finding["description"]:
        entry["detail"] = finding["description"]
    if numbers := [int(each.removeprefix("CWE-")) for each in finding["cwe"]]:
        entry["cwes"] = numbers
    return entry


def _nvd(code: str) -> Row:
    return {"name": "NVD", "url": f"https://nvd.nist.gov/vuln/detail/{code}"}


def _analysis(finding: Row) -> Row:
    if not finding["waived"]:
        return {"state": "in_triage"}
    # Accepted is neither false nor fixed.
    return {
        "state": "exploitable",
        "response": ["will_not_fix"],
        "detail": waiver_note(finding),
    }


def _affected(finding: Row, inventory: Inventory, refs: Mapping[str, str]) -> str:
    path = finding["location"]["path"] or ""
    if inventory.services is not None:
        return inventory.services.owners.get(path, TARGET)
    return refs.get(path, TARGET)


def _properties(given: Mapping[str, str]) -> list[Row]:
    """Return those that say something, under names of our own."""
    return [
        {"name": f"sentrascan:{name}", "value": value}
        for name, value in given.items()
        if value
    ]
