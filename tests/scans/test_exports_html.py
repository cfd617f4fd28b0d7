"""The HTML report: nothing of what was scanned acts in it, and it asks nobody."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from scans.exports.forms import HTML
from scans.models import ScanWaiver
from tests.scans.api_samples import BEGIN, make_finding, make_run, make_scan
from tests.scans.export_samples import GAPS, HOSTILE, failed_scan, written

pytestmark = pytest.mark.django_db
OURS = frozenset(
    {"html", "head", "meta", "title", "style", "body", "header", "main", "section"}
    | {"footer", "article", "h1", "h2", "h3", "p", "bdi", "ul", "li", "dl", "dt", "dd"}
    | {"table", "thead", "tbody", "tr", "th", "td", "code", "span", "strong"}
)
ATTRIBUTES = frozenset(
    {"lang", "charset", "http-equiv", "content", "name", "class", "id", "scope"}
    | {"aria-labelledby"}
)


class Reader(HTMLParser):
    """Collects elements, attributes and texts as a browser would see them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.names: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.names |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_hostile_texts_are_text_and_nothing_else() -> None:
    scan = failed_scan(target=HOSTILE[6], reasons=list(HOSTILE))
    page = written(HTML, scan).decode()
    reader = Reader(page)
    assert reader.tags <= OURS
    assert reader.names <= ATTRIBUTES
    assert reader.open == []
    for text in (HOSTILE[6], HOSTILE[7], HOSTILE[8], HOSTILE[9]):
        assert reader.text.count(text) >= 3
    assert "a\\x1b[2Jb\\x07\\x0b\\x7f\\u202e\\ufffe" in reader.text
    assert "\u202e" not in page


def test_the_page_lets_nothing_load_and_its_style_is_allowed() -> None:
    page = written(HTML, failed_scan()).decode()
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    policy = policy.replace("&#x27;", "'")
    assert policy.startswith("default-src 'none'; ")
    assert f"style-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"url\(|@import|src=|href=", page.replace("src=x", ""))
    assert HTML.headers["Content-Security-Policy"].startswith(policy)
    assert HTML.headers["Content-Security-Policy"].endswith("sandbox")


def test_it_says_verdict_reasons_coverage_and_waivers() -> None:
    scan = make_scan(verdict="inconclusive", reasons=["x.bin was not examined"])
    make_run(scan, coverage=GAPS, tool_version="0.2.54")
    finding = make_finding(scan)
    ScanWaiver.objects.create(
        scan=scan,
        waiver_id=finding.pk,
        fingerprint=finding.fingerprint,
        reason="Known",
        created_by="ann",
        expires_at=BEGIN,
    )
    text = Reader(written(HTML, scan).decode()).text
    for said in (
        "inconclusive",
        "x.bin was not examined",
        "1 of 2, incomplete",
        "no scanner opens this format",
        "The online look-up cannot run here.",
        "Known (waived by ann until 2026-01-01 00:00 UTC)",
        "0.2.54",
    ):
        assert said in text


def test_a_scan_without_findings_says_so() -> None:
    text = Reader(written(HTML, make_scan()).decode()).text
    assert "None." in text
    text = Reader(written(HTML, make_scan(scan_status="cancelled")).decode()).text
    assert "No scanner looked at this target." in text
    assert "cancelled" in text
