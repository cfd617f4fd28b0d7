"""Pages for what went wrong, in words that say what to do next."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from apikeys.choices import Role

SAID = {
    400: ("Bad request", "This request cannot be read."),
    403: ("Not allowed", "Your role does not allow this."),
    404: ("Not found", "There is no such page, or what it showed has been deleted."),
}


def page(
    request: HttpRequest, status: int, *, detail: str = "", title: str = ""
) -> HttpResponse:
    """Return the page of a failure that is not ours."""
    heading, text = SAID[status]
    context = {
        "status": status,
        "heading": title or heading,
        "detail": detail or text,
        "request_id": getattr(request, "request_id", ""),
    }
    return render(request, "console/failure.html", context, status=status)


def too_small_a_role(request: HttpRequest, needed: str) -> HttpResponse:
    detail = "Your account has no role here that may do this."
    if needed in Role.values:
        detail = f"This needs the role {needed}. Ask an administrator for it."
    return page(request, 403, detail=detail)


def server_failure(request: HttpRequest) -> HttpResponse:
    """Return the page of a fault of ours; nothing in it asks the database."""
    context = {
        "status": 500,
        "heading": "Something broke",
        "detail": "This is our fault, and it has been logged. "
        "Try again; if it stays, tell your operator the number below.",
        "request_id": getattr(request, "request_id", ""),
    }
    return HttpResponse(render_to_string("console/failure.html", context), status=500)


def stale_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form whose token is missing or old (Django's CSRF_FAILURE_VIEW)."""
    return page(
        request,
        403,
        title="This form is too old",
        detail="It was opened before you signed in, or in another browser. "
        "Go back, load the page again and send it once more.",
    )
