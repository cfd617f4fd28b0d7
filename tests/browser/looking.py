"""A browser's eyes: what went wrong on a page that a person would not be told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from axe_playwright_python.sync_playwright import Axe

if TYPE_CHECKING:
    from playwright.sync_api import (
        BrowserContext,
        ConsoleMessage,
        Page,
        Request,
        Response,
    )

WIDTHS = {"phone": 380, "desk": 1920}
HEIGHT = 1000
# WCAG 2.2 AA, and what axe knows beyond it about good pages.
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
}
CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
# Says which rule of the policy was broken, before any script of the page runs.
WATCH = """
addEventListener("securitypolicyviolation", (event) => console.error(
  `policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""


class Watcher:
    """Collects the complaints of one page."""

    def __init__(self, page: Page, origin: str) -> None:
        self.complaints: list[str] = []
        self._origin = origin
        page.add_init_script(WATCH)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        page.on("request", self._asked)
        page.on("response", self._answered)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type not in {"error", "warning"}:
            return
        # A page that is not there is one of ours, too; what it asks for is not excused.
        where = message.location["url"]
        is_itself = message.page is not None and where == message.page.url
        if not (is_itself and "status of 404" in message.text):
            self.complaints.append(f"console: {message.text}")

    def _asked(self, request: Request) -> None:
        url = request.url
        if not url.startswith((self._origin, "data:", "blob:", "about:")):
            self.complaints.append(f"another host: {url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 500:
            self.complaints.append(f"{response.status}: {response.url}")


def barriers(page: Page, rules: dict[str, object] = RULES) -> list[str]:
    """Return what axe-core finds wrong, one line for each element."""
    found = Axe().run(page, options=rules).response["violations"]
    return [
        f"{each['id']}: {node['target']} {node['html'][:200]} {node['failureSummary']}"
        for each in found
        for node in each["nodes"]
    ]


def overflowing(page: Page) -> list[str]:
    """Return elements that make the page itself scroll sideways."""
    return page.evaluate(
        """() => {
          const limit = document.documentElement.clientWidth;
          if (document.documentElement.scrollWidth <= limit) return [];
          return [...document.querySelectorAll("body *")]
            .filter((e) => e.getBoundingClientRect().right > limit + 1)
            .slice(-5).map((e) => e.outerHTML.slice(0, 160));
        }"""
    )


def sign_in(context: BrowserContext, origin: str, name: str, password: str) -> None:
    page = context.new_page()
    page.goto(f"{origin}/sign-in")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/sign-in" not in url)
    page.close()
