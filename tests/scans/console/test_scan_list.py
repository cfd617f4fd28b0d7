from __future__ import annotations

import re

import pytest

from scanners.contract import Severity
from scans.choices import ScanStatus
from tests.scans.api_samples import make_scan

pytestmark = pytest.mark.django_db
NASTY = '"><img src=x onerror=alert(1)>'


def targets(page) -> list[str]:
    return re.findall(r'class="target"[^>]*>([^<]*)', page.content.decode())


def test_an_empty_list_says_how_to_scan(viewer):
    assert b"Nothing has been scanned yet" in viewer.get("/scans").content


def test_scans_are_listed_newest_first_with_verdict_and_counts(viewer):
    make_scan(target="old", minutes=1)
    make_scan(
        target="new",
        minutes=2,
        verdict="fail",
        high_count=3,
        low_count=1,
        total_findings=4,
    )
    page = viewer.get("/scans")
    assert targets(page) == ["new", "old"]
    html = page.content.decode()
    assert "3 high, 1 low" in html
    assert "verdict-fail" in html


def test_filters_are_those_of_the_address(viewer):
    make_scan(target="alpha", verdict="fail", critical_count=1, total_findings=1)
    make_scan(target="beta", scan_status=ScanStatus.CANCELLED)
    make_scan(target="gamma", scan_type="mcp")
    for query, wanted in {
        "verdict=fail": ["alpha"],
        "severity=critical": ["alpha"],
        "scan_status=cancelled": ["beta"],
        "scan_type=mcp": ["gamma"],
        "q=ALPH": ["alpha"],
        "target=beta": ["beta"],
        "created_after=2030-01-01": [],
    }.items():
        page = viewer.get(f"/scans?{query}")
        assert targets(page) == wanted, query
    assert b"No scan is like that" in page.content
    html = viewer.get("/scans?verdict=fail").content.decode()
    assert "<option selected>fail</option>" in html


def test_empty_fields_leave_the_address(viewer):
    assert viewer.get("/scans?q=&verdict=fail")["Location"] == "/scans?verdict=fail"
    assert viewer.get("/scans?q=&verdict=")["Location"] == "/scans"


@pytest.mark.parametrize(
    "query", ["verdict=maybe", "q=ab", "nonsense=1", "cursor=x", "limit=0", "q=a&q=b"]
)
def test_what_cannot_be_asked_is_said_and_nothing_is_shown(viewer, query):
    make_scan(target="alpha")
    page = viewer.get(f"/scans?{query}")
    assert page.status_code == 200
    assert b"These filters cannot be answered" in page.content
    assert targets(page) == []


def test_pages_are_walked_by_cursor_and_back(viewer):
    for number in range(5):
        make_scan(target=f"m{number}", minutes=number)
    first = viewer.get("/scans?limit=2")
    assert targets(first) == ["m4", "m3"]
    older = re.search(r'rel="next" href="([^"]+)"', first.content.decode())[1]
    second = viewer.get(older.replace("&amp;", "&"))
    assert targets(second) == ["m2", "m1"]
    newer = re.search(r'rel="prev" href="([^"]+)"', second.content.decode())[1]
    assert targets(viewer.get(newer.replace("&amp;", "&"))) == ["m4", "m3"]


def test_what_a_client_names_is_text(viewer):
    make_scan(target=NASTY, requested_by=NASTY, policy_name=NASTY)
    for address in ("/scans", f"/scans?target={NASTY}", f"/scans?verdict={NASTY}"):
        html = viewer.get(address).content.decode()
        assert "<img src=x" not in html
        assert "&lt;img src=x" in html


def test_hidden_characters_of_a_name_are_seen(viewer):
    make_scan(target="mo\u202edel\u200b.pkl")
    html = viewer.get("/scans").content.decode()
    assert 'title="U+202E right-to-left override">U+202E</span>' in html
    assert "U+200B" in html
    assert "\u202e" not in html


@pytest.mark.parametrize("severity", Severity)
def test_a_severity_has_a_shape_and_a_word(viewer, severity):
    name = severity.name.lower()
    make_scan(total_findings=1, **{f"{name}_count": 1})
    html = viewer.get("/scans").content.decode()
    assert re.search(rf'severity-{name}"><svg[^>]*><use href="[^"]*#{name}"', html)
    assert f"1 {name}" in html
