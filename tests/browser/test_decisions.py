"""What an administrator decides, done in a browser; once also without any script."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.browser.installed import PASSWORD, Installed
from tests.browser.looking import sign_in

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_a_key_is_made_used_and_revoked(
    visit: Callable[..., Page], installed: Installed
) -> None:
    page = visit("/keys/new")
    page.get_by_label("Name").fill("journey")
    page.get_by_label("Role").select_option("viewer")
    page.get_by_role("button", name="Make it").click()
    key = page.get_by_label("The key").inner_text().strip()
    assert key not in page.goto(f"{installed.url}/keys").text()
    with installed.api(key) as api:
        assert api.get("scans").status_code == 200
        page.reload()
        row = page.locator("tr", has_text="journey")
        assert "127.0.0.1" in row.inner_text()
        row.get_by_text("Revoke", exact=True).click()
        row.get_by_role("button", name="Revoke it").click()
        page.get_by_text("is revoked").wait_for()
        assert api.get("scans").status_code == 401


def test_chosen_findings_are_waived_together(visit: Callable[..., Page]) -> None:
    page = visit("/findings?waived=false&severity=low")
    button = page.get_by_role("button", name="Waive chosen")
    assert button.is_disabled()
    boxes = page.locator("tbody input[name=finding]")
    for number in range(2):
        boxes.nth(number).check()
    assert "2 chosen" in page.locator("[data-count]").inner_text()
    button.click()
    assert "Waive 2 findings" in page.locator("h1").inner_text()
    page.get_by_label("Why is this acceptable?").fill("Reviewed; SEC-7.")
    page.get_by_role("button", name="Accept the risk").click()
    assert "accepted" in page.get_by_role("status").inner_text()
    assert page.url.endswith("/findings?waived=false&severity=low")


def test_a_policy_is_asked_before_it_is_saved(visit: Callable[..., Page]) -> None:
    page = visit("/policies/strict/edit")
    text = page.get_by_label("Document (YAML)")
    text.fill("severity_treshold: high")
    page.get_by_role("button", name="What if?").click()
    assert "severity_treshold" in page.locator(".wrong").inner_text()
    text.fill("severity_threshold: critical\nblock_categories: []\n")
    page.get_by_role("button", name="What if?").click()
    told = page.locator("main").inner_text()
    assert re.search(r"Of the newest \d+ judged scans, \d+ would", told)
    assert page.locator(".sides ins").count()
    page.get_by_role("button", name="Save").click()
    assert "in force for new scans" in page.get_by_role("status").inner_text()
    assert re.search(r"version \d+, just now", page.locator(".head").inner_text())


def test_a_baseline_is_approved_and_a_waiver_ended_without_any_script(
    browser, installed: Installed
) -> None:
    context = browser.new_context(java_script_enabled=False)
    sign_in(context, installed.url, "ada", PASSWORD)
    page = context.new_page()
    page.goto(f"{installed.url}/targets?has_baseline=false")
    page.locator("tbody th a").first.click()
    page.get_by_text("Propose a baseline").click()
    page.get_by_label("Name").fill("winter release")
    page.get_by_role("button", name="Propose").click()
    page.get_by_role("button", name="Approve").click()
    assert "in force" in page.get_by_role("status").inner_text()
    page.goto(f"{installed.url}/waivers?expired=false")
    before = page.locator("tbody tr").count()
    row = page.locator("tbody tr").first
    row.get_by_text("End", exact=True).click()
    row.get_by_role("button", name="End it now").click()
    assert "has ended" in page.get_by_role("status").inner_text()
    assert page.locator("tbody tr").count() == before - 1
    context.close()
