"""What stands around every page: navigation, theme, who is signed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from apikeys.choices import Role

THEMES = ("auto", "light", "dark")
THEME_COOKIE = "theme"


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the navigation; it is shown to roles that may open it."""

    name: str
    label: str
    icon: str
    role: Role = Role.VIEWER
    pages: tuple[str, ...] = ()  # what else is found below it

    @property
    def url(self) -> str:
        return reverse(f"console:{self.name}")


FINDINGS = ("finding", "findings-by-rule", "findings-by-target", "waive")
PLACES = (
    Place("home", "Overview", "overview"),
    Place("scans", "Scans", "scan", pages=("scan", "scan-coverage", "scan-new")),
    Place("targets", "Targets", "target", pages=("target", "baseline")),
    Place("findings", "Findings", "finding", pages=FINDINGS),
    Place("waivers", "Waivers", "waiver", pages=("waiver-new",)),
    Place(
        "policies", "Policies", "policy", pages=("policy", "policy-edit", "policy-new")
    ),
    Place("keys", "API keys", "key", Role.ADMIN, ("key-new", "key-rotate")),
    Place("audit", "Audit log", "trail", Role.ADMIN),
    Place("health", "Health", "health"),
)


def frame(request: HttpRequest) -> dict[str, Any]:
    """Return what the layout shows; costs nothing for pages of others."""
    role: Role | None = getattr(request, "role", None)
    here = request.resolver_match.url_name if request.resolver_match else ""
    return {
        "role": role,
        "may_scan": role is not None and role.covers(Role.SCANNER),
        "may_admin": role is not None and role.covers(Role.ADMIN),
        "theme": theme_of(request),
        "version": settings.VERSION,
        "places": [each for each in PLACES if role and role.covers(each.role)],
        "here": next((p.name for p in PLACES if here in (p.name, *p.pages)), here),
    }


def theme_of(request: HttpRequest) -> str:
    chosen = request.COOKIES.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES else "auto"
