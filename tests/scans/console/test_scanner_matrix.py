"""Scanners side by side: who found what where, and who did not look."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from scans.console.scan_page import found
from scans.console.scanner_matrix import SHOWN, Cell, matrix_of
from scans.exports.shapes import Row
from scans.models import Scan
from tests.scans.api_samples import make_finding, make_run, make_scan

pytestmark = pytest.mark.django_db

WHOLE = {"files_total": 2, "files_scanned": 2, "skipped": [], "left": []}


def mcp_scan(**coverages: Row) -> Scan:
    """A scan with a run of each scanner: its coverage, or how it ended."""
    scan = make_scan(scan_type="mcp", total_findings=3)
    for scanner, coverage in coverages.items():
        make_run(scan, scanner, coverage=WHOLE | coverage)
    return scan


def put(scan: Scan, scanner: str, path: str | None, severity: int, number: int) -> None:
    location = {} if path is None else {"path": path}
    make_finding(scan, number, scanner=scanner, severity=severity, location=location)


def lines(scan: Scan) -> dict[str, list[Cell]]:
    matrix = matrix_of(found(scan.pk))
    assert matrix is not None
    return {line.label: line.cells for line in matrix.lines}


def test_a_cell_has_the_worst_and_the_count_and_the_gravest_element_is_first():
    scan = mcp_scan(a={}, b={})
    for number, (scanner, path, severity) in enumerate(
        [("a", "tools/x", 1), ("a", "tools/x", 3), ("b", "prompts/y", 4)]
    ):
        put(scan, scanner, path, severity, number)
    assert list(lines(scan).items()) == [
        ("Prompt y", [Cell("a", "nothing"), Cell("b", "", "critical", 1)]),
        ("Tool x", [Cell("a", "", "high", 2), Cell("b", "nothing")]),
    ]


@pytest.mark.parametrize(
    ("coverage", "word"),
    [
        ({}, "nothing"),
        ({"left": ["tools/x"]}, "not looked at"),
        ({"skipped": [{"path": "tools/x", "reason": "too large"}]}, "not looked at"),
        ({"skipped": [{"path": "tools/y", "reason": "too large"}]}, "nothing"),
        # A run of an earlier release: all is known only where it looked at all.
        ({"left": None}, "nothing"),
        ({"left": None, "files_scanned": 1}, "not known"),
        ({"left": None, "files_scanned": 1, "files_inert": 1}, "nothing"),
    ],
)
def test_silence_is_told_from_not_looking(coverage: Row, word: str):
    scan = mcp_scan(a={}, b=coverage)
    put(scan, "a", "tools/x", 4, 0)
    assert lines(scan)["Tool x"][1] == Cell("b", word)


def test_a_scanner_that_gave_no_answer_did_not_look():
    scan = mcp_scan(a={})
    make_run(scan, "b", status="timed_out")
    put(scan, "a", "tools/x", 4, 0)
    assert lines(scan)["Tool x"][1] == Cell("b", "not looked at")


def test_what_is_at_no_element_is_of_the_whole_target():
    scan = mcp_scan(a={}, b={})
    put(scan, "a", None, 2, 0)
    assert lines(scan)["The whole target"][0] == Cell("a", "", "medium", 1)


def test_drift_is_no_scanner():
    scan = mcp_scan(a={}, b={})
    put(scan, "sentrascan-drift", "tools/x", 4, 0)
    assert matrix_of(found(scan.pk)) is None


def test_one_scanner_or_no_finding_needs_no_comparison():
    alone = mcp_scan(a={})
    put(alone, "a", "tools/x", 4, 0)
    assert matrix_of(found(alone.pk)) is None
    clean = make_scan()
    make_run(clean, "a")
    make_run(clean, "b")
    assert matrix_of(found(clean.pk)) is None


def test_more_elements_than_fit_are_cut_to_the_gravest(viewer: Client):
    scan = mcp_scan(a={}, b={})
    for number in range(SHOWN + 1):
        put(scan, "a", f"tools/t{number:02}", int(number == SHOWN), number)
    matrix = matrix_of(found(scan.pk))
    assert matrix is not None
    assert (len(matrix.lines), matrix.has_more) == (SHOWN, True)
    assert matrix.lines[0].path == f"tools/t{SHOWN}"
    page = viewer.get(f"/scans/{scan.pk}").content.decode()
    assert f"the {SHOWN} elements with the gravest findings, of more" in page


def test_a_cell_leads_to_its_findings(viewer: Client):
    scan = mcp_scan(a={}, b={})
    put(scan, "a", "tools/x", 4, 0)
    put(scan, "a", "tools/y", 4, 1)
    put(scan, "b", "tools/x", 4, 2)
    page = viewer.get(f"/scans/{scan.pk}").content.decode()
    links = re.findall(r'href="(\?[^"]*path=tools%2Fx[^"]*)#findings"', page)
    assert len(links) == 2
    shown = [shown_at(viewer, scan, link.replace("&amp;", "&")) for link in links]
    assert [len(each) for each in shown] == [1, 1]
    assert shown[0] != shown[1]
    assert len(shown_at(viewer, scan, "?path=tools/y")) == 1
    assert shown_at(viewer, scan, "?path=tools/none") == []


def shown_at(client: Client, scan: Scan, query: str) -> list[Any]:
    page = client.get(f"/scans/{scan.pk}{query}").content.decode()
    return re.findall(r'<details class="finding [^>]*id="([^"]+)"', page)


def test_many_elements_cost_no_more_questions(django_assert_num_queries):
    scan = mcp_scan(a={}, b={}, c={})
    put(scan, "a", "tools/x", 4, 0)
    row = found(scan.pk)
    for number in range(1, 30):
        put(scan, "abc"[number % 3], f"tools/t{number}", number % 5, number)
    with django_assert_num_queries(3):
        matrix_of(row)
