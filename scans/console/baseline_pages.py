"""A baseline: what differs from the one in force, and whether it shall be in force."""

from __future__ import annotations

import uuid
from itertools import groupby
from operator import itemgetter
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from apikeys.authentication import actor_of
from apikeys.choices import Role
from scans import baselines
from scans.choices import Conflict, NotFound, Refused
from scans.console.diffs import side_by_side
from scans.console.doors import PageRequest, came_from, needs
from scans.console.tags import as_json
from scans.exports.shapes import BASELINE_COLUMNS, Row, read_baseline
from scans.models import Baseline, Target

CHANGES = 200
ELEMENTS = 500


class ProposalForm(forms.Form):
    """A scan, and what the baseline of it is called."""

    scan_id = forms.UUIDField(widget=forms.HiddenInput)
    name = forms.CharField(max_length=200)
    description = forms.CharField(
        required=False, max_length=2000, widget=forms.Textarea({"rows": 2})
    )


@require_safe
@needs(Role.VIEWER)
def baseline_page(request: PageRequest, baseline_id: uuid.UUID) -> HttpResponse:
    baseline = read_baseline(baseline_id)
    if baseline is None:
        raise NotFound("There is no such baseline")
    named = (baseline["scan_type"], baseline["target"])
    others = Baseline.objects.of_target(*named).exclude(pk=baseline_id)
    choices = list(others.order_by("-created_at").values(*BASELINE_COLUMNS)[:CHANGES])
    other = _other(request, choices)
    target = Target.objects.filter(scan_type=named[0], name=named[1]).first()
    context = {
        "baseline": baseline,
        "target": target,
        "elements": baseline["elements"][:ELEMENTS],
        "more_elements": max(0, len(baseline["elements"]) - ELEMENTS),
        "choices": choices,
        "other": other,
        **(_difference(other["baseline_id"], baseline_id) if other else {}),
    }
    return render(request, "console/baseline.html", context)


def _other(request: PageRequest, choices: list[Row]) -> Row | None:
    """Return the baseline to compare with: by default the one in force."""
    asked = request.GET.get("against", "")
    if asked:
        return next((row for row in choices if str(row["baseline_id"]) == asked), None)
    return next((row for row in choices if row["status"] == "active"), None)


def _difference(before: uuid.UUID, after: uuid.UUID) -> Row:
    """Return the changes by element, each with its values side by side."""
    try:
        told = baselines.compare(before, after)
    except (Conflict, Refused) as refusal:
        return {"not_compared": [str(refusal)]}
    shown = told["changes"][:CHANGES]
    return {
        "is_compared": True,
        "groups": [
            (element, [_change(row) for row in rows])
            for element, rows in groupby(shown, itemgetter("element"))
        ],
        "more": len(told["changes"]) - len(shown) + told["omitted"],
        "not_compared": told["not_compared"],
    }


def _change(row: Row) -> Row:
    return row | {
        "label": f"{row['element']} {row['path']} {row['kind']}",
        "diff": side_by_side(_text(row["before"]), _text(row["after"])),
    }


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else as_json(value)


@require_POST
@needs(Role.ADMIN)
def baseline_new(request: PageRequest) -> HttpResponse:
    form = ProposalForm(request.POST)
    if not form.is_valid():
        field, errors = next(iter(form.errors.items()))
        raise Refused(field, f"{field}: {' '.join(map(str, errors))}")
    baseline = baselines.create(
        **form.cleaned_data, actor=actor_of(request), request=request
    )
    said = "The baseline is proposed. Look at what it changes, then approve it."
    messages.success(request, said)
    return redirect("console:baseline", baseline_id=baseline.pk)


@require_POST
@needs(Role.ADMIN)
def baseline_approve(request: PageRequest, baseline_id: uuid.UUID) -> HttpResponse:
    baselines.approve(baseline_id, actor=actor_of(request), request=request)
    said = "The baseline is in force: the next scans are compared with it."
    messages.success(request, said)
    return redirect("console:baseline", baseline_id=baseline_id)


@require_POST
@needs(Role.ADMIN)
def baseline_retire(request: PageRequest, baseline_id: uuid.UUID) -> HttpResponse:
    baselines.retire(baseline_id, actor=actor_of(request), request=request)
    messages.success(request, "The baseline is retired: nothing is compared with it.")
    return redirect("console:baseline", baseline_id=baseline_id)


@require_POST
@needs(Role.ADMIN)
def baseline_delete(request: PageRequest, baseline_id: uuid.UUID) -> HttpResponse:
    baselines.delete(baseline_id, actor=actor_of(request), request=request)
    messages.success(request, "The baseline is deleted.")
    place = came_from(request, "console:targets")
    # Not back to its own page, which is no more.
    return redirect("console:targets" if str(baseline_id) in place else place)
