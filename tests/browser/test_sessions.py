"""A session that ends while somebody writes: the words are there after signing in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.browser.installed import PASSWORD, Installed
from tests.browser.looking import sign_in

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TEXT = "severity_threshold: critical\n"


def written_and_lost(browser: Browser, url: str) -> Page:
    """Write a policy as ada, and send it when her session is over."""
    context = browser.new_context()
    context.set_default_timeout(20_000)
    sign_in(context, url, "ada", PASSWORD)
    page = context.new_page()
    page.goto(f"{url}/new-policy")
    page.get_by_label("Name").fill("written-once")
    page.locator("textarea").fill(TEXT)
    (session,) = (each for each in context.cookies() if "session" in each["name"])
    context.clear_cookies(name=session["name"])
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/sign-in?**")
    return page


def sign_in_again(page: Page, name: str) -> None:
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "sign-in" not in url)


def test_what_was_written_is_put_back_and_can_be_saved(
    browser: Browser, installed: Installed
) -> None:
    page = written_and_lost(browser, installed.url)
    sign_in_again(page, "ada")

    assert page.url == f"{installed.url}/new-policy"
    assert page.locator("textarea").input_value() == TEXT
    assert page.get_by_role("status").filter(has_text="nothing was saved").is_visible()
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/policies/written-once")
    page.goto(f"{installed.url}/new-policy")
    assert page.locator("textarea").input_value() != TEXT
    page.context.close()


def test_nobody_else_is_shown_what_was_written(
    browser: Browser, installed: Installed
) -> None:
    page = written_and_lost(browser, installed.url)
    sign_in_again(page, "vic")
    assert TEXT not in page.content()
    page.goto(installed.url)
    assert page.evaluate("sessionStorage.getItem('sentrascan-draft')") is None
    page.context.close()
