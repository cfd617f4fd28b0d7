"""`report`, by the real command."""

from __future__ import annotations

import itertools
import json
import uuid
from pathlib import Path

import pytest
from junitparser import JUnitXml

from scans.exports.forms import FORMS
from scans.management import merging
from tests.project.running import sentrascan
from tests.scans.api_samples import make_scan
from tests.scans.export_samples import failed_scan, written
from tests.servers import free_port

Environment = dict[str, str]


@pytest.mark.slow
def test_each_format_goes_to_a_file_or_to_standard_output(
    process_environment: Environment, tmp_path: Path
) -> None:
    scan = failed_scan()
    for name, form in FORMS.items():
        output = tmp_path / f"report.{form.suffix}"
        arguments = ("report", str(scan.pk), f"--format={name}")
        result = sentrascan(*arguments, f"--output={output}", env=process_environment)
        assert (result.returncode, result.stdout) == (0, ""), result.stderr
        assert output.read_bytes() == written(form, scan)
    result = sentrascan("report", str(scan.pk), env=process_environment)
    assert json.loads(result.stdout)["scan_id"] == str(scan.pk)


@pytest.mark.slow
def test_what_cannot_be_had_is_said_in_a_line(
    process_environment: Environment, tmp_path: Path
) -> None:
    queued = make_scan(scan_status="queued")
    server = f"--server=http://127.0.0.1:{free_port()}"
    for arguments, code, said in [
        ([str(queued.pk)], 2, "it has no report yet"),
        ([str(uuid.uuid4())], 2, "no such scan"),
        (["nonsense"], 3, "is no scan's id"),
        ([str(queued.pk), "--format=docx"], 3, "invalid choice"),
        ([str(queued.pk), "--output=/no/such/folder/x"], 3, "cannot be written"),
        ([str(queued.pk), server, "--api-key=ssk_x"], 4, "does not answer"),
    ]:
        result = sentrascan("report", *arguments, env=process_environment)
        assert result.returncode == code, result.stderr
        assert said in result.stderr
        assert "Traceback" not in result.stderr
        assert result.stdout == ""


@pytest.mark.django_db
def test_reports_of_several_scans_become_one() -> None:
    scans = [failed_scan(), failed_scan(target="other"), make_scan(target="empty")]
    reports = {
        name: [written(FORMS[name], scan) for scan in scans]
        for name in ("sarif", "junit")
    }
    log = json.loads(merging.sarif(reports["sarif"]))
    each = [json.loads(report)["runs"] for report in reports["sarif"]]
    assert log["runs"] == list(itertools.chain.from_iterable(each))
    whole = JUnitXml.fromstring(merging.junit(reports["junit"]))
    assert [suite.name for suite in whole] == ["models", "other", "empty"]
    suites = [next(iter(JUnitXml.fromstring(one))) for one in reports["junit"]]
    for name in ("tests", "failures", "errors"):
        counts = [getattr(suite, name) for suite in suites]
        assert getattr(whole, name) == sum(counts)
    assert merging.sarif(reports["sarif"][:1]) == reports["sarif"][0]
    assert merging.junit(reports["junit"][:1]) == reports["junit"][0]
    assert json.loads(merging.sarif([]))["runs"] == []
    assert list(JUnitXml.fromstring(merging.junit([]))) == []
