"""API keys: make one, see it this once, replace it, end it."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from apikeys import keyring
from apikeys.authentication import actor_of
from apikeys.choices import Role
from apikeys.keyring import DEFAULT_GRACE_HOURS, MAX_EXPIRY_DAYS, MAX_GRACE_HOURS
from apikeys.models import ApiKey, DuplicateName, NotLive
from scans.api.queries import Query
from scans.choices import Conflict, NotFound, Refused
from scans.console.doors import PageRequest, needs
from scans.console.lists import listed


class KeyForm(forms.Form):
    """What a key is made of."""

    name = forms.CharField(
        max_length=100,
        strip=False,
        validators=ApiKey._meta.get_field("name").validators,
        help_text="Who or what will use it, such as ci-main.",
        widget=forms.TextInput({"autocomplete": "off", "autofocus": True}),
    )
    role = forms.ChoiceField(
        choices=Role.choices,
        help_text="A viewer reads, a scanner also submits, an admin decides.",
    )
    expires_in_days = forms.IntegerField(
        label="Days until it ends",
        min_value=1,
        max_value=MAX_EXPIRY_DAYS,
        required=False,
        initial=365,
        help_text="Empty: it has no end.",
    )


class GraceForm(forms.Form):
    grace_hours = forms.IntegerField(min_value=0, max_value=MAX_GRACE_HOURS)


@require_safe
@needs(Role.ADMIN)
def key_list(request: PageRequest) -> HttpResponse:
    rows = ApiKey.objects.order_by("-created_at", "-key_id")
    context = {
        "list": listed(request, Query, rows, _shown),
        "grace": {"default": DEFAULT_GRACE_HOURS, "most": MAX_GRACE_HOURS},
    }
    return render(request, "console/keys.html", context)


def _shown(key: Any) -> dict[str, Any]:
    state = key.state
    return {
        "key": key,
        "state": state.value,
        "is_active": key.is_active,
        # One with a successor has had its turn.
        "may_rotate": key.is_active and key.grace_until is None,
    }


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Role.ADMIN)
def key_new(request: PageRequest) -> HttpResponse:
    form = KeyForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            key, plain = keyring.create(
                **form.cleaned_data, actor=actor_of(request), request=request
            )
        except DuplicateName:
            form.add_error("name", "A live key has this name already.")
        else:
            return _once(request, key, plain)
    return render(request, "console/key_new.html", {"form": form})


@require_POST
@needs(Role.ADMIN)
def key_rotate(request: PageRequest, key_id: uuid.UUID) -> HttpResponse:
    form = GraceForm(request.POST)
    if not form.is_valid():
        raise Refused("grace_hours", f"A whole number from 0 to {MAX_GRACE_HOURS}")
    hours = form.cleaned_data["grace_hours"]
    try:
        key, plain = keyring.rotate(
            _found(key_id), grace_hours=hours, actor=actor_of(request), request=request
        )
    except NotLive as error:
        raise Conflict("This key is revoked, expired or replaced already") from error
    return _once(request, key, plain, grace_hours=hours)


@require_POST
@needs(Role.ADMIN)
def key_revoke(request: PageRequest, key_id: uuid.UUID) -> HttpResponse:
    key = _found(key_id)
    keyring.revoke(key_id, actor=actor_of(request), request=request)
    messages.success(request, f"The key {key.name} is revoked: it opens nothing more.")
    return redirect("console:keys")


def _once(request: PageRequest, key: ApiKey, plain: str, **more: Any) -> HttpResponse:
    # Not by way of a redirect: the session, where it would have to wait, is stored.
    context = {"key": key, "plain": plain, **more}
    return render(request, "console/key_once.html", context)


def _found(key_id: uuid.UUID) -> ApiKey:
    key = ApiKey.objects.filter(pk=key_id).first()
    if key is None:
        raise NotFound("There is no such key")
    return key
