"""No mutation of a hostile input passes; none that leaves a harmless one intact fails.

Real tools in the real sandbox. Most files share one run (`tests.security.examining`);
one of each kind goes through the pipeline by itself, as an upload of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from scanners.contract import Limits
from scanners.registry import load_adapters
from scans.choices import RunStatus, Verdict
from tests.scans.builders import queued_scan, run_now
from tests.security import mutations, seeds
from tests.security.examining import (
    Judged,
    broken_ways,
    gather,
    judge_each,
    run_all,
)
from tests.security.seeds import Seed

LIMITS = Limits(wall_seconds=1800, cpu_seconds=1800, memory_bytes=3 << 30)
# Those of `make test`: one of each family; all of them are in `make test-slow`.
FEW = (
    *("cut-50%", "flip-40%", "corrupt-member", "append-zeros", "prepend-newline"),
    *("as-nothing", "as.md", "as.txt", "as.npy", "as-readme", "as-gitignore"),
    *("folders", "zip-deflated", "zip-in-zip", "tar-in-zip", "zip-six-deep", "gz"),
    *("7z", "7z-in-zip"),
)


def variants(
    inputs: Sequence[Seed], chosen: Mapping[str, mutations.Mutation]
) -> dict[str, dict[str, bytes]]:
    """Return `seed/mutation` -> files, the seed as it is among them."""
    found: dict[str, dict[str, bytes]] = {}
    for seed in inputs:
        found[f"{seed}/none"] = seed.files
        for name, mutate in chosen.items():
            # A bomb is written out for each: a few of it are enough.
            if seed.name == "zip-bomb" and name not in FEW:
                continue
            if (files := mutate(seed.file, seed.raw)) is not None:
                found[f"{seed}/{name}"] = dict(files)
    return found


def examined(
    directory: Path, groups: Mapping[str, dict[str, bytes]], *, as_folder: bool
) -> dict[str, Judged]:
    """Judge each group; with any subset of the scanners broken none passes."""
    load_adapters()
    directory.chmod(0o755)
    (directory / "run").mkdir()
    target = gather(directory, groups, as_folder=as_folder)
    outcomes = run_all(target, directory / "run", LIMITS)
    for broken in broken_ways(outcomes):
        assert of_verdict(judge_each(target, broken, groups), Verdict.PASS) == []
    return judge_each(target, outcomes, groups)


def few(table: Mapping[str, mutations.Mutation]) -> dict[str, mutations.Mutation]:
    return {name: mutate for name, mutate in table.items() if name in FEW}


def tally(judged: Mapping[str, Judged]) -> str:
    return str(Counter(each.verdict.value for each in judged.values()))


def of_verdict(judged: Mapping[str, Judged], verdict: Verdict) -> list[str]:
    return [name for name, each in judged.items() if each.verdict is verdict]


def test_there_are_enough_seeds() -> None:
    hostile = (*seeds.malicious_models(), *seeds.malicious_documents())
    harmless = (*seeds.benign_models(), *seeds.benign_documents())
    assert len({seed.name for seed in hostile}) >= 20
    assert len({seed.name for seed in harmless}) >= 10


@pytest.mark.slow
def test_no_mutation_of_a_hostile_file_passes(tmp_path: Path) -> None:
    groups = variants(seeds.malicious_models(), few(mutations.ALL))
    judged = examined(tmp_path, groups, as_folder=False)
    assert of_verdict(judged, Verdict.PASS) == [], tally(judged)
    loud = [f"{seed}/none" for seed in seeds.malicious_models() if seed.is_loud]
    assert [name for name in loud if judged[name].verdict is not Verdict.FAIL] == []


@pytest.mark.slow
def test_no_mutation_that_leaves_a_harmless_file_intact_fails(tmp_path: Path) -> None:
    groups = variants(seeds.benign_models(), few(mutations.INTACT))
    judged = examined(tmp_path, groups, as_folder=False)
    assert of_verdict(judged, Verdict.FAIL) == [], tally(judged)
    plain = {name for name in judged if name.endswith("/none")}
    assert plain <= set(of_verdict(judged, Verdict.PASS))


@pytest.mark.exhaustive
@pytest.mark.parametrize("as_folder", [False, True], ids=["alone", "beside-others"])
def test_no_mutation_at_all_of_a_hostile_file_passes(
    tmp_path: Path, as_folder: bool
) -> None:
    groups = variants(seeds.malicious_models(), mutations.ALL)
    judged = examined(tmp_path, groups, as_folder=as_folder)
    assert of_verdict(judged, Verdict.PASS) == [], tally(judged)


@pytest.mark.exhaustive
@pytest.mark.parametrize("as_folder", [False, True], ids=["alone", "beside-others"])
def test_no_mutation_at_all_of_an_intact_file_fails(
    tmp_path: Path, as_folder: bool
) -> None:
    groups = variants(seeds.benign_models(), mutations.INTACT)
    judged = examined(tmp_path, groups, as_folder=as_folder)
    assert of_verdict(judged, Verdict.FAIL) == [], tally(judged)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["pickle-4", "json-template", "gguf-template"])
def test_64_megabytes_of_padding_hide_nothing(tmp_path: Path, name: str) -> None:
    (seed,) = (each for each in seeds.malicious_models() if each.name == name)
    groups = {"padded": dict(mutations.pad(seed.file, seed.raw))}
    judged = examined(tmp_path, groups, as_folder=False)
    assert judged["padded"].verdict is not Verdict.PASS


# Through the pipeline, each as an upload of its own

ALONE = (
    *(("pickle-4", "none"), ("pickle-0", "as.md"), ("torch-zip", "corrupt-member")),
    *(("numpy-objects", "zip-in-zip"), ("keras-h5-lambda", "cut-50%")),
    *(("gguf-template", "as-nothing"), ("onnx-operator", "gz")),
    *(("zip-outside", "none"), ("tar-link", "none"), ("json-template", "as.md")),
    *(("pickle-2", "7z"), ("joblib-zlib", "7z-in-zip")),
    *(("yaml-call", "as-gitignore"), ("skops", "as.zip"), ("joblib-zlib", "as.txt")),
)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("name", "mutation"), ALONE)
def test_a_hostile_upload_does_not_pass(name: str, mutation: str) -> None:
    (seed,) = (each for each in seeds.malicious_models() if each.name == name)
    files = variants([seed], mutations.ALL)[f"{name}/{mutation}"]
    scan = run_now(queued_scan(files))
    assert scan.scan_status == "completed"
    assert scan.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)
    assert scan.detail.reasons


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["npy", "safetensors", "onnx", "gguf", "repository"])
def test_a_harmless_upload_passes(name: str) -> None:
    (seed,) = (each for each in seeds.benign_models() if each.name == name)
    scan = run_now(queued_scan(seed.files))
    assert (scan.verdict, scan.detail.reasons) == (Verdict.PASS, [])


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", seeds.malicious_documents(), ids=str)
def test_a_hostile_document_does_not_pass(seed: Seed) -> None:
    scan = run_now(queued_scan(document=dict(seed.document or {})))
    assert scan.verdict == Verdict.FAIL
    assert {run.status for run in scan.runs.all()} == {RunStatus.COMPLETED}


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", seeds.benign_documents(), ids=str)
def test_a_harmless_document_does_not_fail(seed: Seed) -> None:
    scan = run_now(queued_scan(document=dict(seed.document or {})))
    assert scan.verdict != Verdict.FAIL, scan.detail.reasons
