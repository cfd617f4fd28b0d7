"""A warm host's answer is the one that the tool gives as a new process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from django.conf import settings

from scanners import hosts, runner
from scanners.contract import Report, ScannerError, Target
from scanners.install import installed
from scanners.registry import SCANNERS, load_adapters
from scanners.runner import Tool

from . import mcp_samples, record, samples
from .standin import strongest, wait_for

pytestmark = pytest.mark.slow

load_adapters()
MODELS = [
    (scanner, sample)
    for scanner in ("modelaudit", "sentrascan-files")
    for sample in record.SAMPLES[scanner]()
]
DOCUMENTS = [
    (scanner, sample)
    for scanner, names in mcp_samples.GOLDEN.items()
    for sample in names
]


@pytest.fixture(scope="module")
def warm(
    tools: dict[str, Tool], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The directory of the hosts of all real tools."""
    made = hosts.Hosts(
        tmp_path_factory.mktemp("warm") / "hosts",
        list(SCANNERS.values()),
        partial(installed, directory=settings.SCANNERS_DIR),
        strongest(),
    )
    made.start()
    wait_for(lambda: len(made.processes()) == len(SCANNERS), seconds=120)
    assert set(made.states().values()) == {hosts.WARM}, made.states()
    yield made.directory
    assert set(made.states().values()) == {hosts.WARM}, made.states()
    made.stop()


def reported(
    name: str, target: Target, run_dir: Path, directory: Path | None
) -> Report | str:
    """Return the report, or the sentence that says why there is none.

    In one order: modelaudit reads the shards of a checkpoint side by side.
    """
    scanner = SCANNERS[name]
    try:
        tool = installed(name, settings.SCANNERS_DIR)
        report = runner.run(
            scanner,
            tool,
            target,
            limits=scanner.limits,
            rung=strongest(),
            run_dir=run_dir,
            stop=threading.Event(),
            supervise=hosts.supervise_in(directory, name, tool),
        ).report
    except ScannerError as error:
        return str(error)
    return replace(report, findings=tuple(sorted(report.findings, key=repr)))


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


@pytest.mark.parametrize(("scanner", "sample"), MODELS)
def test_models(
    warm: Path, tmp_path: Path, run_dir: Path, scanner: str, sample: str
) -> None:
    root = tmp_path / "target"
    root.mkdir()
    target = samples.lay_out(root, record.SAMPLES[scanner]()[sample])
    answers = [reported(scanner, target, run_dir, each) for each in (warm, None)]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(("scanner", "sample"), DOCUMENTS)
def test_documents(warm: Path, run_dir: Path, scanner: str, sample: str) -> None:
    target = mcp_samples.target_of(mcp_samples.DOCUMENTS[sample])
    answers = [reported(scanner, target, run_dir, each) for each in (warm, None)]
    assert answers[0] == answers[1]
