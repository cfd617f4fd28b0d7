"""Waivers: what is accepted, by whom, until when; accept more, take it back."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import OuterRef, Subquery
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from apikeys.authentication import actor_of
from apikeys.choices import Role
from scans import waiving
from scans.api.queries import FLAGS, WaiverQuery
from scans.choices import Refused
from scans.console.doors import PageRequest, came_from, needs
from scans.console.lists import listed, tidy
from scans.exports.shapes import (
    FINDINGS,
    WAIVER_COLUMNS,
    Row,
    finding_shape,
    waiver_shape,
)
from scans.models import Finding, Scan, Waiver
from scans.waivers import EVERY_TARGET

SOON = timedelta(days=14)
DEFAULT_DAYS = 90
MOST_AT_ONCE = 500
FOUND_COLUMNS = ("finding_id", "title", "rule", "severity")


class AcceptForm(forms.Form):
    """Why, and until when: a waiver without an end is an open door."""

    reason = forms.CharField(
        max_length=waiving.MAX_REASON,
        widget=forms.Textarea({"rows": 3}),
        label="Why is this acceptable?",
        help_text="Whoever reads the verdict reads this.",
    )
    until = forms.DateField(
        label="Until the end of",
        widget=forms.DateInput({"type": "date"}, "%Y-%m-%d"),
        help_text="In UTC. After that day the finding counts again.",
    )

    def clean_until(self) -> date:
        day: date = self.cleaned_data["until"]
        if not timezone.now().date() <= day <= date(9998, 12, 31):
            raise forms.ValidationError("This day is over.")
        return day

    @property
    def expires_at(self) -> datetime:
        after = self.cleaned_data["until"] + timedelta(days=1)
        return datetime.combine(after, time(), UTC)


class ScopeForm(AcceptForm):
    """For findings that were chosen: where they were found, or everywhere."""

    scope = forms.ChoiceField(
        choices=[
            ("target", "Only on the target where it was found"),
            ("all", "On every target, also those to come"),
        ],
        widget=forms.RadioSelect,
        label="Where?",
    )


class TypedForm(AcceptForm):
    """For a fingerprint that somebody has at hand."""

    fingerprint = forms.CharField(
        max_length=70,
        help_text="v1: and 64 digits, from a finding or a report.",
        widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false"}),
    )
    target = forms.CharField(
        max_length=waiving.MAX_TARGET,
        required=False,
        help_text="The whole name of one target. Empty: every target.",
    )
    field_order = ("fingerprint", "target")


@require_safe
@needs(Role.VIEWER)
def waiver_list(request: PageRequest) -> HttpResponse:
    if tidied := tidy(request):
        return tidied
    somewhere = Finding.objects.filter(fingerprint=OuterRef("fingerprint"))
    rows = Waiver.objects.order_by("-created_at", "-waiver_id").annotate(
        found=Subquery(somewhere.order_by().values("pk")[:1])
    )
    page = listed(
        request, WaiverQuery, rows.values(*WAIVER_COLUMNS, "found"), waiver_shape
    )
    _tell_states(page.rows)
    context = {"list": page, "flags": FLAGS}
    return render(request, "console/waivers.html", context)


def _tell_states(rows: list[Row]) -> None:
    """Say of each row what it is now, and which finding it accepts."""
    lasting = [row["waiver_id"] for row in rows if not row["is_expired"]]
    stale = set(
        Waiver.objects.filter(pk__in=lasting).stale().values_list("pk", flat=True)
    )
    keys = [row["found"] for row in rows if row["found"]]
    columns = Finding.objects.filter(pk__in=keys).values(*FOUND_COLUMNS)
    findings = {row["finding_id"]: row for row in columns}
    soon = timezone.now() + SOON
    for row in rows:
        row["finding"] = findings.get(row["found"])
        if row["is_expired"]:
            row["state"] = "expired"
        elif row["waiver_id"] in stale:
            row["state"] = "stale"
        else:
            row["state"] = "ends soon" if row["expires_at"] < soon else "in force"


@require_http_methods(["GET", "HEAD", "POST"])
@needs(Role.ADMIN)
def waiver_new(request: PageRequest) -> HttpResponse:
    first = {"until": _default_end()} | request.GET.dict()
    form = TypedForm(request.POST if request.method == "POST" else None, initial=first)
    if form.is_valid():
        values = form.cleaned_data
        try:
            waiving.create(
                fingerprint=values["fingerprint"].strip(),
                target=values["target"] or EVERY_TARGET,
                reason=values["reason"],
                expires_at=form.expires_at,
                actor=actor_of(request),
                request=request,
            )
        except Refused as refusal:
            name = refusal.field if refusal.field in form.fields else None
            form.add_error(name, refusal.message)
        else:
            messages.success(request, _said(1))
            return redirect("console:waivers")
    return render(request, "console/waiver_new.html", {"form": form})


@require_POST
@needs(Role.ADMIN)
def waive_findings(request: PageRequest) -> HttpResponse:
    """Ask for the reason once for all chosen findings, then accept them together."""
    findings = _chosen(request.POST.getlist("finding"))
    is_answer = "reason" in request.POST
    form = ScopeForm(request.POST if is_answer else None, initial=first_answers())
    if form.is_valid():
        is_for_all = form.cleaned_data["scope"] == "all"
        waivers = waiving.create_each(
            _risks(findings, is_for_all=is_for_all),
            reason=form.cleaned_data["reason"],
            expires_at=form.expires_at,
            actor=actor_of(request),
            request=request,
        )
        messages.success(request, _said(len(waivers)))
        return redirect(came_from(request, "console:waivers"))
    context = {"form": form, "findings": findings, "next": came_from(request)}
    return render(request, "console/waive.html", context)


@require_POST
@needs(Role.ADMIN)
def waiver_end(request: PageRequest, waiver_id: uuid.UUID) -> HttpResponse:
    waiving.delete(waiver_id, actor=actor_of(request), request=request)
    messages.success(request, "The waiver has ended. The next scan judges without it.")
    return redirect(came_from(request, "console:waivers"))


def _chosen(texts: list[str]) -> list[Row]:
    """Return the findings that were ticked, the worst first; each with its target."""
    try:
        keys = {uuid.UUID(text) for text in texts}
    except ValueError as error:
        raise Refused("finding", "A finding is named by its id") from error
    if len(keys) > MOST_AT_ONCE:
        raise Refused("finding", f"At most {MOST_AT_ONCE} findings at once")
    rows = FINDINGS.filter(pk__in=keys).order_by("-severity", "finding_id")
    found = [finding_shape(row) for row in rows]
    if not found:
        raise Refused("finding", "Choose at least one finding first")
    scans = {row["scan_id"] for row in found}
    targets = dict(Scan.objects.filter(pk__in=scans).values_list("pk", "target"))
    return [row | {"target": targets[row["scan_id"]]} for row in found]


def _risks(findings: Iterable[Row], *, is_for_all: bool) -> list[tuple[str, str]]:
    """Return each weakness once with its target; what is waived already is left."""
    chosen = (
        (row["fingerprint"], EVERY_TARGET if is_for_all else row["target"])
        for row in findings
        if not row["waived"]
    )
    return list(dict.fromkeys(chosen))


def first_answers() -> dict[str, Any]:
    """What stands in the form before anybody has written: the narrowest waiver."""
    return {"until": _default_end(), "scope": "target"}


def _default_end() -> date:
    return timezone.now().date() + timedelta(days=DEFAULT_DAYS)


def _said(count: int) -> str:
    if not count:
        return "All of these were waived already."
    what = "1 finding is" if count == 1 else f"{count} findings are"
    return f"{what} accepted. Verdicts given before stay as they are: scan again."
