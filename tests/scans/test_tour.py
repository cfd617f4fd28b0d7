"""docs/tour.md, done as it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from jsonschema import Draft4Validator
from junitparser import JUnitXml

from scanners.runner import Tool
from tests.project.running import ROOT
from tests.scans import tour

SARIF = ROOT / "tests" / "schemas" / "sarif-schema-2.1.0.json"


@pytest.mark.slow
def test_the_tour_is_what_happens(tools: dict[str, Tool], tmp_path: Path) -> None:
    reader = tour.Reader(tmp_path)
    assert not list(tour.failures(tour.PAGE, reader))
    desk = reader.directory
    sarif = json.loads((desk / "weather.sarif").read_text())
    Draft4Validator(json.loads(SARIF.read_text())).validate(sarif)
    results = [result for run in sarif["runs"] for result in run["results"]]
    assert any(result["suppressions"] for result in results)
    strict = JsonStrictValidator(SchemaVersion.V1_6)
    assert strict.validate_str((desk / "weather.cdx.json").read_text()) is None
    suites = list(JUnitXml.fromfile(str(desk / "weather.xml")))
    assert [suite.failures for suite in suites] == [0]


def test_the_page_says_what_each_step_is_about() -> None:
    commands = [step.command for step in tour.steps_in(tour.PAGE)]
    for verb in ("baseline approve", "waiver create", "policy what-if", "verify"):
        assert any(verb in command for command in commands)


def test_another_answer_than_that_of_the_page_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```console\n$ echo one\ntwo\n$ echo 2031-01-01 10:00Z\n2029-02-03 "
        "04:05Z\n```\n"
    )
    (found,) = tour.failures(page, tour.Reader(tmp_path))
    assert found.startswith("$ echo one")
