"""What the adapter makes of modelaudit's reports, and of modelaudit itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scanners.adapters.modelaudit import ModelAudit
from scanners.adapters.modelaudit.places import Place, Places
from scanners.contract import (
    Category,
    Completed,
    Element,
    Report,
    ReportedFinding,
    ScannerError,
    Severity,
    Target,
    TargetKind,
)
from scanners.runner import Tool, run
from scanners.sandbox import probe
from tests.scanners import samples
from tests.scanners.record import REPORTS, ROOT, golden
from tests.scanners.sevenzips import seven_zip

SAMPLES = sorted(path.stem for path in (REPORTS / "modelaudit").iterdir())


def parsed(sample: str) -> Report:
    return ModelAudit().parse(*golden("modelaudit", sample))


def at(report: Report, path: str) -> list[ReportedFinding]:
    return [finding for finding in report.findings if finding.location.path == path]


def failures(report: Report) -> dict[str, str]:
    return {skipped.path: skipped.reason for skipped in report.coverage.failed}


def changed(sample: str, **values: Any) -> tuple[Target, Completed]:
    """Return a recorded run with members of its report replaced."""
    target, completed = golden("modelaudit", sample)
    document = json.loads(completed.outputs["report.json"]) | values
    outputs = {"report.json": json.dumps(document).encode()}
    return target, replace(completed, outputs=outputs)


def test_it_passes_the_folder_as_a_path_and_never_as_an_option() -> None:
    target = Target(TargetKind.MODEL, Path("/srv/-v"), (Element("-o.pkl"),), "")
    arguments = ModelAudit().command(target).arguments
    assert arguments[-2:] == ("--", "/srv/-v")
    assert not any("-o.pkl" in argument for argument in arguments)
    assert "--no-whitelist" in arguments
    assert ModelAudit().command(target).environment["PROMPTFOO_DISABLE_TELEMETRY"]


def test_it_does_not_call_an_empty_file_scanned() -> None:
    report = parsed("empty")
    assert report.coverage.scanned == frozenset()
    assert report.findings == ()


def test_it_says_what_a_pickle_calls_and_where() -> None:
    (finding,) = parsed("one").findings
    assert finding.rule.rule == "modelaudit:S201"
    assert finding.rule.severity is Severity.CRITICAL
    assert finding.rule.category is Category.DESERIALIZATION
    assert finding.element == "REDUCE posix.system"
    assert finding.location.path == "model.pkl"
    assert finding.location.byte_offset == 39
    assert finding.evidence["global_position"] == 28
    assert "CWE-502" in finding.rule.cwe


def test_it_makes_one_finding_of_the_same_call_twice() -> None:
    found = at(parsed("many"), "calls.pkl")
    assert [finding.element for finding in found] == [
        "REDUCE posix.system",
        "REDUCE __builtin__.eval",
        "REDUCE __builtin__.exec",
    ]
    assert found[0].evidence["occurrences"] == 2


def test_it_drops_what_only_repeats_a_finding() -> None:
    report = parsed("many")
    assert [finding.element for finding in at(report, "old.pkl")] == [
        "REDUCE posix.system"
    ]
    (finding,) = at(report, "checkpoint.pt")
    assert finding.location.member == "checkpoint/data.pkl"


def test_it_ranks_a_python_operator_as_code_whatever_its_code_is() -> None:
    ranks = {f.rule.rule: f.rule for f in at(parsed("many"), "operator.onnx")}
    operator = ranks["modelaudit:ONNX_PYTHON_OPERATOR"]
    assert operator.severity is Severity.CRITICAL
    assert operator.category is Category.CODE_EXECUTION


def test_it_does_not_fail_a_readme_for_its_addresses() -> None:
    report = parsed("many")
    assert all(f.rule.severity < Severity.HIGH for f in at(report, "README.md"))
    # It searched the text; that this is documentation is not for it to say.
    assert "README.md" not in {*report.coverage.scanned, *failures(report)}
    assert any("network addresses" in note for note in report.coverage.notes)


def test_it_finds_nothing_in_harmless_files_and_covers_them() -> None:
    report = parsed("harmless")
    target, _ = golden("modelaudit", "harmless")
    assert report.coverage.scanned == {element.path for element in target.elements}
    assert report.coverage.failed == ()
    assert report.findings == ()


def test_it_covers_an_ordinary_checkpoint_and_its_shards() -> None:
    report = parsed("checkpoint")
    target, _ = golden("modelaudit", "checkpoint")
    assert report.coverage.scanned == {element.path for element in target.elements}
    assert report.coverage.failed == ()
    assert len(report.coverage.notes) == 2
    assert {f.location.path for f in report.findings} == report.coverage.scanned
    assert max(f.rule.severity for f in report.findings) is Severity.MEDIUM
    assert "code_execution" not in {f.rule.category for f in report.findings}


def test_it_does_not_excuse_calls_into_unknown_packages() -> None:
    report = parsed("foreign")
    assert failures(report).keys() == {"called.pkl"}
    assert report.coverage.scanned == {"named.pkl"}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("model.pkl", "Pickle parsing stopped"),
        ("checkpoint.pt", "Could not parse PyTorch storage"),
        ("model.onnx", "Error parsing ONNX model"),
        ("model.safetensors", "Tensor weight offsets out of bounds"),
        ("weights.npy", "File size does not match header information"),
    ],
)
def test_it_names_what_it_could_not_examine(path: str, reason: str) -> None:
    report = parsed("broken")
    assert failures(report)[path].startswith(reason)
    assert path not in report.coverage.scanned


def test_it_does_not_claim_an_unknown_format() -> None:
    report = parsed("broken")
    assert "unknown.xyz" not in report.coverage.scanned | failures(report).keys()


def test_it_takes_a_sentencepiece_model_for_something_else_and_says_so() -> None:
    report = parsed("repository")
    assert failures(report).keys() == {"spiece.model"}
    assert max(f.rule.severity for f in report.findings) is Severity.INFO


def test_it_reports_archives_with_members_that_nobody_examined() -> None:
    report = parsed("archives")
    assert failures(report) == {
        "partly.zip": "members that modelaudit could not examine: x",
        "rejected.tar": "members that modelaudit could not examine: a:b.pkl",
    }
    assert {"known.zip", "nested.zip"} <= report.coverage.scanned


def test_it_is_not_misled_by_names_that_look_like_positions() -> None:
    report = parsed("archives")
    (nested,) = at(report, "nested.zip")
    assert nested.location.member == "in.zip:k (pos 3)"
    assert nested.location.byte_offset is None
    (odd,) = at(report, "odd:name (pos 7).pkl")
    assert odd.location.member is None
    assert odd.location.byte_offset == 39


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ("/job/target/a", Place("a")),
        ("/job/target/a:b", Place("a:b")),
        ("/job/target/a:b (pos 4)", Place("a:b", None, 4)),
        ("/job/target/a:c:d (pos 4)", Place("a", "c:d", 4)),
        ("/job/target/a:known (pos 4)", Place("a", "known (pos 4)", None)),
        ("/job/target/a:known (pos 4) (pos 9)", Place("a", "known (pos 4)", 9)),
        ("/proc/self/fd/9/s.bin:m (pos 2)", Place("deep/s.bin", "m", 2)),
        ("/job/target/a (offset: 4)", Place("a", None, 4)),
        ("/job/target/a (layer: l)", Place("a")),
        ("/job/target/a -> c.inner (pos 4)", Place("a", "c.inner", 4)),
        ("/job/target/ab", Place()),
        ("/job/target2/a", Place()),
        ("", Place()),
    ],
)
def test_it_resolves_a_location_by_the_longest_known_name(
    location: str, place: Place
) -> None:
    elements = (Element("a"), Element("a:b"), Element("deep/s.bin"))
    target = Target(TargetKind.MODEL, ROOT, elements, "")
    places = Places(target, [("/job/target/a", "known (pos 4)")])
    assert places.one(location) == place


@pytest.mark.parametrize("sample", SAMPLES)
def test_it_keeps_paths_of_the_machine_out_of_every_text(sample: str) -> None:
    report = parsed(sample)
    for finding in report.findings:
        texts = [finding.title, finding.description, finding.element]
        texts += [finding.evidence_key, json.dumps(dict(finding.evidence))]
        assert not [text for text in texts if "/job" in text or "/tmp" in text]
    assert "/job" not in "".join(failures(report).values())


@pytest.mark.parametrize("sample", SAMPLES)
def test_its_findings_differ_from_each_other_and_are_catalogued(sample: str) -> None:
    findings = parsed(sample).findings
    keys = {
        (f.rule.rule, f.location.path, f.location.member, f.element, f.evidence_key)
        for f in findings
    }
    assert len(keys) == len(findings)
    strange = {f.rule.rule for f in findings if not f.rule.is_catalogued}
    assert not strange


@pytest.mark.parametrize(
    ("outputs", "exit_code"),
    [
        ({}, 2),
        ({"report.json": b""}, 0),
        ({"report.json": b"{"}, 0),
        ({"report.json": b"[]"}, 0),
        ({"report.json": b"[" * 100_000}, 0),
        ({"report.json": b'{"issues": [], "checks": {}}'}, 0),
    ],
)
def test_it_refuses_a_report_that_makes_no_sense(
    outputs: Mapping[str, bytes], exit_code: int
) -> None:
    target, _ = golden("modelaudit", "one")
    with pytest.raises(ScannerError):
        ModelAudit().parse(target, Completed(exit_code, outputs=outputs))


def test_it_refuses_a_run_that_a_signal_ended() -> None:
    target, completed = golden("modelaudit", "harmless")
    with pytest.raises(ScannerError, match="-9"):
        ModelAudit().parse(target, replace(completed, exit_code=-9))


def test_it_refuses_an_interrupted_run_that_calls_itself_a_success() -> None:
    issue: dict[str, Any] = {"message": "Scan interrupted by user", "location": ""}
    issue |= {"severity": "info", "details": {"interrupted": True}}
    with pytest.raises(ScannerError, match="interrupted"):
        ModelAudit().parse(*changed("harmless", issues=[issue]))


def test_it_refuses_a_run_that_saw_no_file() -> None:
    nothing: dict[str, Any] = {"assets": [], "file_metadata": {}, "has_errors": True}
    nothing["files_scanned"] = 0
    with pytest.raises(ScannerError, match="examined nothing"):
        ModelAudit().parse(*changed("harmless", **nothing))


@pytest.mark.parametrize("wrong", [{"success": False}, {"has_errors": True}])
def test_an_error_without_a_place_covers_nothing(wrong: dict[str, bool]) -> None:
    report = ModelAudit().parse(*changed("harmless", **wrong))
    assert report.coverage.scanned == frozenset()
    assert len(report.coverage.failed) == 5


def test_a_file_that_is_none_of_the_target_is_no_answer() -> None:
    assets = [{"path": "/elsewhere/model.pkl", "type": "pickle"}]
    with pytest.raises(ScannerError, match="none of the target"):
        ModelAudit().parse(*changed("harmless", assets=assets, files_scanned=1))


@pytest.mark.parametrize(
    ("sample", "lost"),
    [
        ("one", {"issues": []}),
        ("one", {"checks": []}),
        ("many", {"issues": []}),
        ("one", {"failed_checks": 0}),
        ("harmless", {"assets": []}),
        ("harmless", {"passed_checks": 1}),
        ("harmless", {"issues": [{}]}),
    ],
)
def test_a_report_that_lost_something_is_no_answer(
    sample: str, lost: dict[str, Any]
) -> None:
    with pytest.raises(ScannerError, match="contradicts itself"):
        ModelAudit().parse(*changed(sample, **lost))


@pytest.mark.parametrize(
    "kind", ["text", "manifest", "compressed", "pytorch_binary", "jinja2_template"]
)
def test_what_it_only_searched_was_not_examined(kind: str) -> None:
    _, completed = golden("modelaudit", "harmless")
    document = json.loads(completed.outputs["report.json"])
    (asset,) = (a for a in document["assets"] if a["path"].endswith("state.pkl"))
    asset["type"] = kind
    report = ModelAudit().parse(*changed("harmless", assets=document["assets"]))
    assert "state.pkl" not in report.coverage.scanned
    assert len(report.coverage.scanned) == 4


def test_what_it_cannot_read_is_a_gap_and_no_attack() -> None:
    report = parsed("broken")
    assert "model.onnx" in failures(report)
    assert all(f.rule.severity < Severity.HIGH for f in at(report, "model.onnx"))


def test_an_unknown_rule_keeps_the_tools_severity() -> None:
    issue = {
        "message": "New",
        "severity": "warning",
        "details": {},
        "type": "new_check",
    }
    issue["location"] = f"{ROOT}/state.pkl"
    (finding,) = ModelAudit().parse(*changed("harmless", issues=[issue])).findings
    assert finding.rule.rule == "modelaudit:NEW_CHECK"
    assert finding.rule.severity is Severity.MEDIUM
    assert not finding.rule.is_catalogued


def scanned(files: Mapping[str, bytes], tool: Tool, folder: Path) -> Report:
    target = samples.lay_out(folder / "target", files)
    (folder / "run").mkdir()
    return run(
        ModelAudit(),
        tool,
        target,
        limits=ModelAudit.limits,
        rung=probe(),
        run_dir=folder / "run",
        stop=threading.Event(),
    ).report


@pytest.mark.slow
def test_the_real_tool_flags_its_bait(tools: dict[str, Tool], tmp_path: Path) -> None:
    report = scanned(ModelAudit().bait(), tools["modelaudit"], tmp_path)
    (finding,) = report.findings
    assert finding.rule.severity is Severity.CRITICAL
    assert finding.location.path == "bait.pkl"


@pytest.mark.slow
def test_the_real_tool_tells_harmful_from_harmless(
    tools: dict[str, Tool], tmp_path: Path
) -> None:
    harmful = {f"bad/{n}.pkl": samples.malicious_pickle(n) for n in range(6)}
    harmless = {f"good/{n}.pkl": samples.clean_pickle(n) for n in range(6)}
    harmless["good/weights.npy"] = samples.npy()
    harmless["good/model.safetensors"] = samples.safetensors()
    harmless["good/model.onnx"] = samples.onnx()
    files = {**harmful, **harmless, "-x.pkl": samples.malicious_pickle()}
    report = scanned(files, tools["modelaudit"], tmp_path)
    assert report.coverage.scanned == files.keys()
    assert report.coverage.failed == ()
    assert {f.location.path for f in report.findings} == {*harmful, "-x.pkl"}
    assert {f.rule.severity for f in report.findings} == {Severity.CRITICAL}


@pytest.mark.slow
def test_a_packed_7z_is_not_taken_for_examined(
    tools: dict[str, Tool], tmp_path: Path
) -> None:
    """The real tool looks at the members that it knows, and is silent of the rest."""
    inner = seven_zip({"known.pkl": samples.clean_pickle(), "x.xyz": b"?"})
    files = {"alone.7z": inner, "outer.zip": samples.zip_of({"in.7z": inner})}
    report = scanned(files, tools["modelaudit"], tmp_path)
    assert report.coverage.scanned == frozenset()
    assert failures(report).keys() == {"outer.zip"}
    again = tmp_path / "again"
    again.mkdir()
    bad = {"bad.7z": seven_zip({"bad.pkl": samples.malicious_pickle()})}
    found = scanned(bad, tools["modelaudit"], again).findings
    assert {finding.location.path for finding in found} == {"bad.7z"}
