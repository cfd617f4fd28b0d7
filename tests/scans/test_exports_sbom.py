"""CycloneDX: the strict validator of its own library, and its reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from rest_framework.test import APIClient

from scanners.contract import Target, TargetKind
from scanners.documents import elements_of, read_document
from scans import snapshots
from scans.choices import Conflict
from scans.exports.forms import SBOMS
from scans.exports.packages import package_of
from scans.models import Scan, ScanSnapshot, ScanWaiver
from scans.snapshots import Seal
from tests.scans.api_samples import BEGIN, DIGEST, make_finding, make_run, make_scan
from tests.scans.builders import queued_scan, run_now
from tests.scans.export_samples import (
    COVERAGE,
    GAPS,
    HOSTILE,
    failed_scan,
    report_of,
    written,
)

pytestmark = pytest.mark.django_db
SCHEMAS = {"1.6": SchemaVersion.V1_6, "1.7": SchemaVersion.V1_7}
VERSIONS = pytest.mark.parametrize("version", SBOMS)
CONFIG = {
    "mcpServers": {
        "git hub/ü": {
            "command": "npx",
            "args": ["-y", "@modelcontextprotocol/server-github@1.2.3"],
            "env": {"GITHUB_TOKEN": "ghp_" + "aB3dE5fG7hI9" * 3},
        },
        "remote": {
            "url": "https://mcp.example/sse?key=secret",
            "headers": {"Authorization": "Bearer abcdefghijklmnop"},
        },
        "open": {"url": "https://open.example/mcp"},
    }
}


def bom_of(scan: Scan, version: str = "1.6") -> dict[str, Any]:
    """Return the document, valid by the strict schema and read by the library."""
    text = written(SBOMS[version], scan).decode()
    problem = JsonStrictValidator(SCHEMAS[version]).validate_str(text)
    assert problem is None, str(problem)
    bom: dict[str, Any] = json.loads(text)
    read = Bom.from_json(bom)
    assert len(read.vulnerabilities) == len(bom["vulnerabilities"])
    assert read.validate()
    refs = {each["bom-ref"] for each in refs_of(bom)}
    assert len(refs) == len(refs_of(bom))
    for needs in bom["dependencies"]:
        assert {needs["ref"], *needs["dependsOn"]} <= refs
    for found in bom["vulnerabilities"]:
        assert {each["ref"] for each in found["affects"]} <= refs
    return bom


def refs_of(bom: dict[str, Any]) -> list[dict[str, Any]]:
    parts = [*bom["components"], *bom.get("services", []), *bom["vulnerabilities"]]
    return [bom["metadata"]["component"], *parts]


def mcp_scan(raw: dict[str, Any]) -> Scan:
    """A scan of an MCP document with the snapshot that recording would keep."""
    document = read_document(raw)
    scan = make_scan(scan_type="mcp", target="servers", verdict="fail")
    seen = Target(
        kind=TargetKind.MCP,
        root=Path("/"),
        elements=tuple(elements_of(document)),
        digest="",
        document=document,
    )
    secrets = frozenset({"ghp_" + "aB3dE5fG7hI9" * 3, "Bearer abcdefghijklmnop"})
    now = snapshots.of_document(seen, secrets, Seal(bytes(32)))
    ScanSnapshot.objects.filter(scan=scan).update(
        elements=now.elements, document=now.document
    )
    return scan


@VERSIONS
def test_files_and_findings_are_valid_however_they_are_called(version: str) -> None:
    scan = failed_scan()
    paths = [f"d/{text}" for text in HOSTILE if text]
    elements = [{"path": path, "size": 3, "digest": DIGEST} for path in paths]
    ScanSnapshot.objects.filter(scan=scan).update(elements=elements)
    bom = bom_of(scan, version)
    assert bom["specVersion"] == version
    assert [each["name"] for each in bom["components"]] == paths
    assert bom["metadata"]["component"]["type"] == "machine-learning-model"
    assert bom["components"][0]["hashes"] == [{"alg": "SHA-256", "content": DIGEST}]
    assert len(bom["vulnerabilities"]) == len(HOSTILE)
    affected = {each["affects"][0]["ref"] for each in bom["vulnerabilities"]}
    assert affected == {f"element/{path}" for path in paths} | {"target"}
    first = bom["vulnerabilities"][0]
    assert first["ratings"][0]["severity"] == "critical"
    assert first["cwes"] == [502]
    assert first["analysis"] == {"state": "in_triage"}


@VERSIONS
def test_an_address_that_is_none_does_not_spoil_the_document(version: str) -> None:
    urls = {
        "template": "https://${HOST}/mcp",
        "password": "https://u:pass1word@h.example/",
        "blank": "http://a b/c",
        "bracket": "https://[bad",
        "escape": "https://x.example/%zz",
        "port": "http://h.example:port/",
        "plain": "https://h.example:8443/v1/mcp,a/%20",
    }
    servers = {name: {"url": url} for name, url in urls.items()}
    bom = bom_of(mcp_scan({"config": {"mcpServers": servers}}), version)
    services = {each["name"]: each for each in bom["services"]}
    assert all(each["x-trust-boundary"] for each in services.values())
    assert services.pop("plain")["endpoints"] == [urls["plain"]]
    for service in services.values():
        assert "endpoints" not in service
        [address] = service["properties"]
        assert address["name"] == "sentrascan:mcp:address"
    assert services["template"]["properties"][0]["value"] == urls["template"]


def test_arrays_are_data_and_other_files_are_files() -> None:
    scan = make_scan()
    names = ["a.NPY", "b.parquet", "c.pkl"]
    elements = [{"path": name, "size": 1, "digest": DIGEST} for name in names]
    ScanSnapshot.objects.filter(scan=scan).update(elements=elements)
    types = [each["type"] for each in bom_of(scan)["components"]]
    assert types == ["data", "data", "file"]


@VERSIONS
def test_mcp_servers_are_services_with_their_packages(version: str) -> None:
    tool = {"name": "add", "description": "Adds.", "inputSchema": {"type": "object"}}
    scan = mcp_scan({"config": CONFIG, "tools": [tool]})
    make_finding(scan, 1, location={"path": "servers/remote", "server": "remote"})
    make_finding(scan, 2, location={"path": "tools/add", "tool": "add"})
    bom = bom_of(scan, version)
    assert "ghp_" not in json.dumps(bom)
    assert "abcdefghijklmnop" not in json.dumps(bom)
    assert "secret" not in json.dumps(bom)
    services = {each["bom-ref"]: each for each in bom["services"]}
    local, remote = services["servers/git hub/ü"], services["servers/remote"]
    assert local["x-trust-boundary"] is False
    assert "endpoints" not in local
    assert remote["x-trust-boundary"] is True
    assert remote["endpoints"] == ["https://mcp.example/sse"]
    assert remote["authenticated"] is True
    assert "authenticated" not in services["servers/open"]
    (package,) = bom["components"]
    assert package["purl"] == "pkg:npm/%40modelcontextprotocol/server-github@1.2.3"
    assert {"ref": local["bom-ref"], "dependsOn": [package["purl"]]} in bom[
        "dependencies"
    ]
    (listed,) = services["lists"]["properties"]
    assert listed["name"] == "sentrascan:mcp:tools:add"
    assert listed["value"].startswith("sha256:")
    affected = [each["affects"][0]["ref"] for each in bom["vulnerabilities"]]
    assert sorted(affected) == ["lists", "servers/remote"]


def test_tools_of_the_only_server_are_that_servers() -> None:
    config = {"mcpServers": {"calc": {"command": "calc"}}}
    scan = mcp_scan({"config": config, "tools": [{"name": "add"}]})
    (service,) = bom_of(scan)["services"]
    names = [each["name"] for each in service["properties"]]
    assert names == ["sentrascan:mcp:command", "sentrascan:mcp:tools:add"]


def test_a_waived_finding_is_accepted_and_not_false() -> None:
    scan = make_scan()
    finding = make_finding(scan)
    ScanWaiver.objects.create(
        scan=scan,
        waiver_id=finding.pk,
        fingerprint=finding.fingerprint,
        reason="Known",
        created_by="ann",
        expires_at=BEGIN,
    )
    (found,) = bom_of(scan)["vulnerabilities"]
    assert found["analysis"] == {
        "state": "exploitable",
        "response": ["will_not_fix"],
        "detail": "Known (waived by ann until 2026-01-01 00:00 UTC)",
    }


def test_a_cve_is_called_by_its_name() -> None:
    scan = make_scan()
    make_finding(scan, rule="modelaudit:CVE-2019-6446")
    (found,) = bom_of(scan)["vulnerabilities"]
    assert found["id"] == "CVE-2019-6446"
    assert found["source"]["name"] == "NVD"


@pytest.mark.parametrize(
    ("coverage", "told"), [(COVERAGE, "complete"), (GAPS, "incomplete")]
)
def test_what_was_left_out_makes_the_composition_incomplete(
    coverage: Any, told: str
) -> None:
    scan = make_scan()
    make_run(scan, coverage=coverage)
    assert bom_of(scan)["compositions"][0]["aggregate"] == told


@pytest.mark.parametrize(
    ("command", "arguments", "told"),
    [
        ("npx", ["-y", "server"], "pkg:npm/server"),
        ("npx", ["server@latest"], "pkg:npm/server"),
        ("npx.cmd", ["-p", "@a/b@2.0.0", "run"], "pkg:npm/%40a/b@2.0.0"),
        ("npx", ["--package=@a/b", "x"], "pkg:npm/%40a/b"),
        ("/usr/bin/uvx", ["My_Server==1.0"], "pkg:pypi/my-server@1.0"),
        ("uvx", ["--from", "pkg[extra]==2", "tool"], "pkg:pypi/pkg@2"),
        ("uvx", ["--python", "3.12", "tool@1.0"], "pkg:pypi/tool@1.0"),
        ("pipx", ["run", "tool"], "pkg:pypi/tool"),
        ("npx", ["git+https://x/y"], None),
        ("npx", [], None),
        ("python3", ["server.py"], None),
        ("npx", "server", None),
        (None, ["server"], None),
    ],
)
def test_packages_are_told_where_the_command_names_one(
    command: Any, arguments: Any, told: str | None
) -> None:
    package = package_of({"command": command, "args": arguments})
    assert (package["purl"] if package else None) == told


def test_where_nothing_was_examined_there_is_no_sbom(viewer_api: APIClient) -> None:
    scan = make_scan(verdict="inconclusive")
    ScanSnapshot.objects.filter(scan=scan).update(elements=[])
    with pytest.raises(Conflict):
        SBOMS["1.6"].write(report_of(scan))
    answer = viewer_api.get(f"/api/v1/scans/{scan.pk}/sbom")
    assert (answer.status_code, "no SBOM" in answer.json()["detail"]) == (409, True)
    assert viewer_api.head(f"/api/v1/scans/{scan.pk}/sbom").status_code == 409


def test_the_api_answers_16_and_17_on_request(viewer_api: APIClient) -> None:
    url = f"/api/v1/scans/{failed_scan().pk}/sbom"
    answer = viewer_api.get(url)
    assert answer["Content-Type"] == "application/vnd.cyclonedx+json; version=1.6"
    assert answer["Content-Disposition"].endswith('.cdx.json"')
    etags = {answer["ETag"]}
    for version in SBOMS:
        answer = viewer_api.get(f"{url}?version={version}")
        body = json.loads(b"".join(answer.streaming_content))
        assert body["specVersion"] == version
        etags.add(answer["ETag"])
        known = {"If-None-Match": answer["ETag"]}
        again = viewer_api.get(f"{url}?version={version}", headers=known)
        assert again.status_code == 304
    assert len(etags) == 2
    assert viewer_api.get(f"{url}?version=1.5").status_code == 400
    queued = make_scan(scan_status="queued")
    assert viewer_api.get(f"/api/v1/scans/{queued.pk}/sbom").status_code == 409


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize(
    "tools_listed", [[], [{"name": "add", "description": "Adds."}]]
)
def test_the_gate_has_an_sbom_exactly_where_one_can_be_made(tools_listed: Any) -> None:
    scan = run_now(queued_scan(document={"tools": tools_listed}, target="t"))
    assert scan.scan_type == TargetKind.MCP
    has_sbom = scan.detail.evidence["has_sbom"]
    assert has_sbom == bool(tools_listed)
    if has_sbom:
        bom_of(scan)
    else:
        with pytest.raises(Conflict):
            SBOMS["1.6"].write(report_of(scan))
