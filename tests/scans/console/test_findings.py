from __future__ import annotations

import html
import re

import pytest

from scanners.contract import Severity
from scans.console import finding_groups
from scans.models import Waiver
from tests.scans.api_samples import BEGIN, make_finding, make_scan, remember
from tests.scans.console.records import make_target, make_waiver

pytestmark = pytest.mark.django_db


def titles(page) -> list[str]:
    text = page.content.decode()
    found = re.findall(r'<th scope="row" class="name"><a [^>]*>([^<]*)', text)
    return [html.unescape(each) for each in found]


def said(page) -> str:
    text = re.sub(r"<[^>]+>", " ", page.content.decode())
    return re.sub(r"\s+", " ", html.unescape(text))


def test_without_a_finding_each_view_says_what_will_be_there(viewer):
    assert b"Nothing has been found" in viewer.get("/findings").content
    for view in ("rule", "target"):
        assert b"No finding is open" in viewer.get(f"/findings/by-{view}").content


def test_findings_of_all_scans_are_listed_with_their_target(viewer):
    make_finding(make_scan(target="here"), 1, title="First")
    make_finding(make_scan(target="th\u202eere"), 2, title="Second <b>")
    page = viewer.get("/findings")
    assert titles(page) == ["Second <b>", "First"]
    assert "U+202E" in page.content.decode()
    assert "here" in said(page)


def test_the_address_holds_the_filters(viewer):
    scan = make_scan(target="m")
    make_finding(scan, 1, title="Alpha", rule="modelaudit:S1", severity=Severity.LOW)
    make_finding(scan, 2, title="Beta", scanner="other", category="licence")
    make_waiver(2, days=900)
    for query, wanted in {
        "q=alph": ["Alpha"],
        "rule=modelaudit:S1": ["Alpha"],
        "severity=low": ["Alpha"],
        "scanner=other": ["Beta"],
        "category=licence": ["Beta"],
        "waived=true": ["Beta"],
        "waived=false": ["Alpha"],
        "created_after=2030-01-01": [],
    }.items():
        assert titles(viewer.get(f"/findings?{query}")) == wanted, query
    assert "Nothing is like that" in said(viewer.get("/findings?q=nothing"))
    assert "cannot be answered" in said(viewer.get("/findings?severity=grave"))


def test_pages_are_walked_by_cursor(viewer):
    scan = make_scan()
    for number in range(3):
        make_finding(scan, number, title=f"f{number}")
    first = viewer.get("/findings?limit=2")
    assert titles(first) == ["f2", "f1"]
    older = re.search(r'rel="next" href="([^"]+)"', first.content.decode())[1]
    assert titles(viewer.get(html.unescape(older))) == ["f0"]


def test_an_admin_chooses_and_a_viewer_does_not(admin, viewer):
    finding = make_finding(make_scan())
    box = f'name="finding" value="{finding.pk}"'
    assert box in admin.get("/findings").content.decode()
    assert box not in viewer.get("/findings").content.decode()
    assert b"Waive chosen" not in viewer.get("/findings").content


def test_a_finding_is_shown_with_all_that_is_known(viewer):
    scan = make_scan(target="model <1>")
    finding = make_finding(
        scan,
        1,
        title="Runs <b>a shell",
        description="It\u200b does.",
        remediation="Do not.",
        evidence={"call": "os.sys\u202etem", "<i>": 1},
        location={"path": "a.pkl", "byte_offset": 0, "tool": ""},
        taxonomy={"cwe": ["CWE-502"], "atlas": ["AML.T0010"]},
    )
    page = viewer.get(f"/findings/{finding.pk}")
    text = page.content.decode()
    assert "Runs &lt;b&gt;a shell" in text
    assert "&lt;i&gt;" in text
    for shown in ("U+200B", "U+202E", "CWE-502", "AML.T0010", finding.fingerprint):
        assert shown in text
    told = said(page)
    assert "Byte offset 0" in told
    assert "Tool" not in told.partition("Where and what")[2].partition("Rule")[0]
    assert 'href="/findings?rule=modelaudit%3AS201"' in text
    assert "Accept the risk" not in told


def test_a_finding_says_where_else_it_is_and_only_it(viewer):
    here = make_finding(make_scan(target="here"), 1)
    make_finding(make_scan(target="there"), 1)
    make_finding(make_scan(target="nowhere"), 2)
    told = said(viewer.get(f"/findings/{here.pk}"))
    assert "there" in told.partition("Also found in")[2]
    assert "nowhere" not in told


def test_what_is_not_there_is_a_404(viewer):
    gone = "00000000-0000-0000-0000-000000000000"
    assert viewer.get(f"/findings/{gone}").status_code == 404


def test_a_finding_is_waived_from_its_page_and_back(admin):
    finding = make_finding(make_scan(target="m"), 1)
    place = f"/findings/{finding.pk}"
    form = {
        "finding": str(finding.pk),
        "next": place,
        "reason": "in a jail",
        "until": "2999-01-01",
        "scope": "target",
    }
    assert admin.post("/findings/waive", form)["Location"] == place
    told = said(admin.get(place))
    assert "Accepted in a jail By ada" in told
    assert "on this target" in told
    waiver = Waiver.objects.get()
    assert waiver.target == "m"
    end = admin.post(f"/waivers/{waiver.pk}/end", headers={"Referer": place})
    assert end["Location"] == place
    assert "Accepted" not in said(admin.get(place))


def test_open_findings_are_counted_by_rule_the_worst_first(viewer):
    a, b = make_target("a"), make_target("b")
    remember(a, 1, rule="x:LOW", severity=Severity.LOW, title="Mild")
    remember(b, 2, rule="x:LOW", severity=Severity.LOW, title="Mild")
    remember(a, 3, rule="x:BAD", severity=Severity.CRITICAL, title="Grave")
    over = {"resolved_at": BEGIN, "last_seen_at": BEGIN}
    remember(a, 4, rule="x:OVER", severity=Severity.CRITICAL, title="Over", **over)
    page = viewer.get("/findings/by-rule")
    assert titles(page) == ["Grave", "Mild"]
    told = said(page)
    assert "3 open" in told
    assert "x:BAD 1 critical 1" in told
    assert "x:LOW 2 low 2" in told


def test_open_findings_are_counted_by_target(viewer):
    a, b = make_target("a"), make_target("b", "mcp")
    for number in range(2):
        remember(a, number, rule=f"x:{number}", severity=Severity.HIGH)
    remember(b, 5, severity=Severity.CRITICAL)
    told = said(viewer.get("/findings/by-target"))
    assert told.index("b 1 critical 1") < told.index("a 2 high 2")


def test_no_more_is_grouped_than_somebody_waits_for(viewer, monkeypatch):
    for target in (make_target("a"), make_target("b")):
        for number in range(2):
            remember(target, number)
    # Whole targets alone; one that is more than that by itself is shown all the same.
    for most, told in ((4, "4 open:"), (3, "2 open, and"), (1, "2 open, and")):
        monkeypatch.setattr(finding_groups, "MOST_ROWS", most)
        for view in ("by-rule", "by-target"):
            assert told in said(viewer.get(f"/findings/{view}"))
