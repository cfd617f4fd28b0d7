"""One installation for all browser tests, and a browser for each file of them.

Playwright's loop runs in this thread while it is open, and Django then refuses the
database: these tests ask the server, never the database.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import sync_playwright

from tests.browser.installed import PASSWORD, Installed, chromium
from tests.browser.looking import HEIGHT, WIDTHS, Watcher, sign_in

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser/" in str(item.path):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The console of an installation that has worked for three months."""
    installation = Installed(tmp_path_factory.mktemp("console") / "data")
    installation.migrate()
    installation.filled = json.loads(installation.fill())
    try:
        installation.start()
        yield installation
    finally:
        installation.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # The sandbox of Chromium needs what a container of a CI server does not give.
        launched = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox"]
        )
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def contexts(browser: Browser, installed: Installed) -> dict[str, BrowserContext]:
    """A signed-in browser context for each name, made when it is asked for."""

    class Contexts(dict[str, Any]):
        def __missing__(self, name: str) -> BrowserContext:
            size = {"width": WIDTHS["desk"], "height": HEIGHT}
            context = browser.new_context(viewport=size, color_scheme="light")
            context.set_default_timeout(20_000)
            if name:
                sign_in(context, installed.url, name, PASSWORD)
            self[name] = context
            return context

    return Contexts()


@pytest.fixture
def visit(
    contexts: dict[str, BrowserContext], installed: Installed
) -> Iterator[Callable[..., Page]]:
    """Open a page as somebody ("" is nobody); what it complains of fails the test."""
    watched: list[tuple[Page, Watcher]] = []

    def open_page(path: str, name: str = "ada") -> Page:
        page = contexts[name].new_page()
        watched.append((page, Watcher(page, installed.url)))
        page.goto(f"{installed.url}{path}", wait_until="load")
        return page

    yield open_page
    complaints = [line for _, watcher in watched for line in watcher.complaints]
    for page, _ in watched:
        page.close()
    assert not complaints, complaints
