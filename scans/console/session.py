"""Signing in and out, the password, the theme."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from apikeys import audit, failures
from apikeys.addresses import client_address
from apikeys.audit import Actor
from apikeys.choices import ActorKind, Role
from scans.console.doors import came_from, needs
from scans.console.frame import THEME_COOKIE, THEMES

logger = logging.getLogger(__name__)

YEAR_SECONDS = 365 * 24 * 3600


@method_decorator(never_cache, "dispatch")
class SignIn(LoginView):
    """Name and password; django-axes counts what fails of one name at one address,
    `apikeys.failures` whatever fails at one address."""

    template_name = "console/sign_in.html"
    redirect_authenticated_user = True

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        more = super().get_context_data(**kwargs)
        label = settings.OIDC_LABEL if settings.OIDC_ISSUER else ""
        return more | {"single_sign_on": label}

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        answer = super().form_valid(form)
        _record("user.sign_in", form.get_user(), self.request)
        return answer

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        wait = failures.retry_after(client_address(self.request))
        if wait is not None:
            return shut_out(self.request, seconds=wait)
        return super().form_invalid(form)


def shut_out(
    request: HttpRequest,
    credentials: dict[str, Any] | None = None,
    *args: Any,
    seconds: int = 0,
) -> HttpResponse:
    """Answer who guessed too often (also django-axes' AXES_LOCKOUT_CALLABLE)."""
    seconds = seconds or int(settings.AXES_COOLOFF_TIME.total_seconds())
    logger.warning("Too many wrong passwords from %s", client_address(request))
    context = {"minutes": -(-seconds // 60)}
    page = render(request, "console/shut_out.html", context, status=429)
    page["Retry-After"] = str(seconds)
    return page


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    if isinstance(request.user, User):
        _record("user.sign_out", request.user, request)
    logout(request)
    return redirect(settings.LOGIN_URL)


@method_decorator(needs(Role.VIEWER), "dispatch")
class PasswordChange(PasswordChangeView):
    """A new password ends every other session of its user."""

    template_name = "console/password.html"
    success_url = reverse_lazy("console:home")

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        answer = super().form_valid(form)
        _record("user.change_password", form.user, self.request)
        messages.success(self.request, "Your password is changed.")
        return answer


@require_POST
def choose_theme(request: HttpRequest) -> HttpResponse:
    answer = redirect(came_from(request))
    theme = request.POST.get("theme", "")
    if theme in THEMES:
        answer.set_cookie(
            THEME_COOKIE,
            theme,
            max_age=YEAR_SECONDS,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
    return answer


def _record(action: str, user: Any, request: HttpRequest) -> None:
    audit.record(
        action,
        actor=Actor(ActorKind.USER, user.get_username()),
        object_type="user",
        object_id=str(user.pk),
        request=request,
    )
