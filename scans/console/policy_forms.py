"""A policy as YAML: check it, ask what it would have said, save it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from apikeys.authentication import actor_of
from apikeys.choices import Role
from scans import gate, policies, policy_text, what_if
from scans.choices import Conflict, Outdated, Refused
from scans.console.diffs import side_by_side
from scans.console.doors import PageRequest, needs
from scans.console.policy_pages import written
from scans.gate import DEFAULT_DOCUMENT
from scans.models import Policy

# Judging a stored scan again takes about 0.2 ms: more is for the API, which nobody
# waits for in front of a page.
MOST_JUDGED = 2_000
SHOWN = 100


class DocumentForm(forms.Form):
    """The document as people write it; `rules` once it is one."""

    text = forms.CharField(
        label="Document (YAML)",
        max_length=policy_text.MAX_BYTES,
        strip=False,
        required=False,
        widget=forms.Textarea(
            {"rows": 12, "spellcheck": "false", "autocapitalize": "off"}
        ),
    )
    document: dict[str, Any]
    rules: gate.PolicyRules

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"]
        try:
            document = policy_text.read(text)
            # An empty text is a policy of defaults.
            self.document = {} if document is None else document
            self.rules = policies.rules_of(self.document)
        except policy_text.PolicyTextError as error:
            raise forms.ValidationError(str(error)) from error
        except Refused as refusal:
            raise forms.ValidationError(refusal.message) from refusal
        return text


class NewForm(DocumentForm):
    name = forms.CharField(
        max_length=100,
        help_text="Scans ask for it by this name: letters, digits, dots, dashes.",
        widget=forms.TextInput({"autocomplete": "off"}),
    )
    field_order = ("name",)


class VersionForm(DocumentForm):
    # The version that its author has seen.
    version = forms.IntegerField(min_value=1, widget=forms.HiddenInput)


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Role.ADMIN)
def policy_new(request: PageRequest) -> HttpResponse:
    form = NewForm(_sent(request), initial={"text": written(DEFAULT_DOCUMENT)})
    if form.is_valid() and "save" in request.POST:
        try:
            policy = policies.create(
                form.cleaned_data["name"],
                form.document,
                actor=actor_of(request),
                request=request,
            )
        except Refused as refusal:
            form.add_error("name", refusal.message)
        except Conflict as conflict:
            form.add_error("name", str(conflict))
        else:
            return _saved(request, policy)
    return _page(request, form, None)


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Role.ADMIN)
def policy_edit(request: PageRequest, name: str) -> HttpResponse:
    newest = policies.found(name)
    first = {"text": written(newest.document), "version": newest.version}
    form = VersionForm(_sent(request), initial=first)
    if form.is_valid() and "save" in request.POST:
        try:
            policy = policies.revise(
                name,
                form.document,
                expected=form.cleaned_data["version"],
                actor=actor_of(request),
                request=request,
            )
        except Outdated as outdated:
            form.add_error(None, f"{outdated}. Your text is still below.")
        else:
            return _saved(request, policy)
    return _page(request, form, newest)


def _sent(request: PageRequest) -> Any:
    return request.POST if request.method == "POST" else None


def _saved(request: PageRequest, policy: Policy) -> HttpResponse:
    said = f"Version {policy.version} of {policy.name} is in force for new scans."
    messages.success(request, said)
    return redirect("console:policy", name=policy.name)


def _page(
    request: PageRequest, form: DocumentForm, newest: Policy | None
) -> HttpResponse:
    context: dict[str, Any] = {"form": form, "newest": newest}
    if form.is_bound and form.is_valid():
        outcome = what_if.ask(form.rules, most=MOST_JUDGED)
        context |= {
            "outcome": outcome,
            "told": outcome.summary(),
            "changes": outcome.changes[:SHOWN],
            "more": max(0, len(outcome.changes) - SHOWN),
        }
        if newest is not None:
            # Both as we would write them: what a person's line breaks are is no change.
            before, after = written(newest.document), written(form.document)
            context["diff"] = side_by_side(before, after)
    return render(request, "console/policy_form.html", context)
