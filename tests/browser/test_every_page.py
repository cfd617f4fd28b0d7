"""Every page in a real browser: no barrier, no complaint, light, dark, any width."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.browser.installed import Installed
from tests.browser.looking import (
    CONTRAST,
    HEIGHT,
    WIDTHS,
    Watcher,
    barriers,
    overflowing,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# Where each page is; {scan} and the like are filled in by what was put there. Of fifty
# rows that are alike a dozen have the same barriers, and axe takes its time for each.
PAGES = {
    "sign-in": "/sign-in",
    "overview": "/",
    "overview, 90 days": "/?days=90",
    "scans": "/scans?limit=12",
    "scans, filtered": "/scans?verdict=fail&severity=critical&limit=12",
    "scans, none": "/scans?q=nothing-is-called-so",
    "scans, wrong": "/scans?verdict=maybe",
    "scan": "/scans/{scan}",
    "scan, one severity": "/scans/{scan}?severity=critical",
    "scan, coverage": "/scans/{scan}/coverage",
    "scan, new": "/scans/new",
    "scan, new, pasted": "/scans/new?way=document",
    "scan, new, server": "/scans/new?way=server",
    "scan, running": "/scans/{running}",
    "targets": "/targets",
    "target": "/targets/{target}",
    "baseline": "/baselines/{baseline}",
    "finding": "/findings/{finding}",
    "findings": "/findings?limit=12",
    "findings, none": "/findings?q=nothing-is-called-so",
    "findings by rule": "/findings/by-rule",
    "findings by target": "/findings/by-target",
    "waivers": "/waivers",
    "new waiver": "/waivers/new",
    "policies": "/policies",
    "policy": "/policies/strict",
    "new policy": "/new-policy",
    "new version": "/policies/strict/edit",
    "keys": "/keys",
    "new key": "/keys/new",
    "audit log": "/audit?limit=12",
    "health": "/health",
    "password": "/password",
    "not found": "/nowhere",
}
NOBODY = {"sign-in"}
# Lists that one would have to move sideways to read.
WIDER = (
    "(all) => all.filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.ariaLabel)"
)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_barrier_and_no_complaint(
    name: str, visit: Callable[..., Page], installed: Installed
) -> None:
    path = PAGES[name].format(**installed.filled)
    page = visit(path, "" if name in NOBODY else "ada")
    assert barriers(page) == []
    page.emulate_media(color_scheme="dark")
    assert barriers(page, CONTRAST) == []
    page.set_viewport_size({"width": WIDTHS["phone"], "height": HEIGHT})
    assert overflowing(page) == []
    assert page.locator(".stacks").evaluate_all(WIDER) == []
    assert barriers(page) == []


def test_on_paper_no_finding_is_folded(
    visit: Callable[..., Page], installed: Installed
) -> None:
    page = visit(PAGES["scan"].format(**installed.filled))
    folded = page.locator(".finding:not([open]) .finding-body").first
    assert not folded.is_visible()
    page.emulate_media(media="print")
    assert folded.is_visible()
    assert not page.locator(".side").is_visible()


def test_on_a_phone_one_sees_where_one_is(visit: Callable[..., Page]) -> None:
    page = visit("/keys")
    page.set_viewport_size({"width": WIDTHS["phone"], "height": HEIGHT})
    page.reload()
    here = page.locator(".side nav [aria-current]").bounding_box()
    assert here is not None
    assert 0 <= here["x"] <= WIDTHS["phone"] - here["width"]


def test_a_fault_is_seen(visit: Callable[..., Page], browser: Browser) -> None:
    """The eyes themselves: what they are there for does not escape them."""
    page = visit("/scans")
    page.evaluate(
        """() => {
          document.querySelector("main").insertAdjacentHTML("beforeend",
            '<img src="/static/console/mark.svg"><p id="pale">pale</p>' +
            '<div id="wide">x</div>');
          pale.style.color = "var(--line)";
          wide.style.width = "3000px";
        }"""
    )
    found = " ".join(barriers(page))
    assert "image-alt" in found
    assert "color-contrast" in found
    assert "wide" in " ".join(overflowing(page))


def test_what_a_page_complains_of_is_heard(
    browser: Browser, installed: Installed
) -> None:
    page = browser.new_page()
    watcher = Watcher(page, installed.url)
    page.goto(f"{installed.url}/sign-in")
    assert watcher.complaints == []
    page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "1";
          document.body.append(script);
          console.error("oh");
        }"""
    )
    page.wait_for_timeout(200)
    said = " ".join(watcher.complaints)
    assert "script-src" in said
    assert "oh" in said
    page.close()
