"""Who may open a page, and how each is answered."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, resolve_url
from django.utils.cache import patch_cache_control
from django.utils.http import url_has_allowed_host_and_scheme

from apikeys.permissions import Role, role_of
from scans.choices import Conflict, Gone, NotFound, Refused


class PageRequest(HttpRequest):
    """A request that `needs` let through."""

    user: User
    role: Role


type View[**P] = Callable[Concatenate[PageRequest, P], HttpResponseBase]
type Door[**P] = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def needs[**P](role: Role) -> Callable[[View[P]], Door[P]]:
    """Let only signed-in users of at least `role` through.

    Nobody is sent to the sign-in page and back; too small a role is a 403. What the
    story refuses becomes a message on the page that the user came from.
    """

    def wrap(view: View[P]) -> Door[P]:
        @wraps(view)
        def door(
            request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs
        ) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return to_sign_in(request)
            held = role_of(request)
            if held is None or not held.covers(role):
                raise PermissionDenied(role.value)
            request.role = held  # type: ignore[attr-defined]  # ours
            try:
                answer = view(request, *args, **kwargs)  # type: ignore[arg-type]  # ours, see above
            except NotFound as absent:
                raise Http404(str(absent)) from absent
            except (Conflict, Gone, Refused) as refusal:
                messages.error(request, sentence(str(refusal)))
                answer = redirect(came_from(request))
            # What one user saw, the next one at this machine must not.
            patch_cache_control(answer, private=True, no_store=True)
            return answer

        return door

    return wrap


def to_sign_in(request: HttpRequest) -> HttpResponse:
    """Send somebody to the sign-in page; htmx would swap that page into a part."""
    is_reading = request.method in {"GET", "HEAD"}
    if "HX-Request" in request.headers:
        place = resolve_url(settings.LOGIN_URL)
        return HttpResponse(status=401, headers={"HX-Redirect": place})
    if is_reading:
        return redirect_to_login(request.get_full_path())
    # Back to the form, which may know what was written while the session ended.
    form = urlsplit(came_from(request))
    return redirect_to_login(urlunsplit(("", "", form.path, form.query, "")))


def came_from(request: HttpRequest, default: str = "console:home") -> str:
    """Return the page of ours where a form was sent from."""
    place = request.POST.get("next") or request.headers.get("Referer", "")
    # Not back to a place that only takes POST: Referer then is that of the last page.
    is_ours = url_has_allowed_host_and_scheme(
        place, {request.get_host()}, require_https=request.is_secure()
    )
    return place if is_ours else resolve_url(default)


def sentence(text: str) -> str:
    """Return `text` as a sentence for people."""
    text = text.strip()
    ended = text if text.endswith((".", "!", "?")) else f"{text}."
    return ended[:1].upper() + ended[1:]
