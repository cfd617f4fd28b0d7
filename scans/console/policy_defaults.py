"""Which policy judges the scans that name none: choose one, take it back."""

from __future__ import annotations

import uuid

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from apikeys.authentication import actor_of
from apikeys.choices import Role
from scanners.contract import TargetKind
from scans import policy_choice
from scans.choices import Refused
from scans.console.doors import PageRequest, needs


class DefaultForm(forms.Form):
    """A policy for targets of one type whose names match."""

    scan_type = forms.ChoiceField(choices=TargetKind.choices)
    pattern = forms.CharField(max_length=policy_choice.MAX_PATTERN, strip=False)
    policy = forms.CharField(max_length=100)


@require_POST
@needs(Role.ADMIN)
def default_new(request: PageRequest) -> HttpResponse:
    form = DefaultForm(request.POST)
    if not form.is_valid():
        field, errors = next(iter(form.errors.items()))
        raise Refused(field, f"{field.replace('_', ' ')}: {' '.join(map(str, errors))}")
    row = policy_choice.create(
        **form.cleaned_data, actor=actor_of(request), request=request
    )
    said = f"{row.policy_name} judges scans of {row.scan_type} {row.pattern} from now."
    messages.success(request, said)
    return redirect("console:policies")


@require_POST
@needs(Role.ADMIN)
def default_delete(request: PageRequest, default_id: uuid.UUID) -> HttpResponse:
    policy_choice.delete(default_id, actor=actor_of(request), request=request)
    messages.success(request, "The choice is taken back.")
    return redirect("console:policies")
