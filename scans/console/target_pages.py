"""Targets: the verdicts of each over time, its findings, and its baselines."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from rest_framework import serializers

from apikeys.choices import Role
from scanners.contract import TargetKind
from scans.api.queries import SEVERITIES, STATES, TargetFindingQuery, TargetQuery
from scans.choices import BaselineStatus, NotFound, Verdict
from scans.console.doors import PageRequest, needs
from scans.console.lists import listed, tidy
from scans.exports.shapes import BASELINE_COLUMNS, Row
from scans.exports.target_shapes import (
    TARGETS,
    findings_of_target,
    history,
    memory_shape,
    read_target,
    step_shape,
    target_shape,
    with_newest,
)
from scans.models import Baseline, Finding

STEPS = 60
TABLED = 15
BASELINES = 20


class OpenFirstQuery(TargetFindingQuery):
    """As the API asks for findings of a target; without a word, what is open."""

    state = serializers.ChoiceField([*STATES, "any"], default="open")

    @classmethod
    def filter(cls, rows: Any, values: Row) -> Any:
        asked = {k: v for k, v in values.items() if (k, v) != ("state", "any")}
        return super().filter(rows, asked)


@require_safe
@needs(Role.VIEWER)
def target_list(request: PageRequest) -> HttpResponse:
    if tidied := tidy(request):
        return tidied
    page = listed(request, TargetQuery, TARGETS, target_shape)
    context = {
        "list": replace(page, rows=with_newest(page.rows)),
        "choices": {"scan_type": TargetKind.values, "verdict": Verdict.values},
    }
    return render(request, "console/targets.html", context)


@require_safe
@needs(Role.VIEWER)
def target_page(request: PageRequest, target_id: uuid.UUID) -> HttpResponse:
    if tidied := tidy(request):
        return tidied
    target = read_target(target_id)
    if target is None:
        raise NotFound("There is no such target")
    steps = [step_shape(row) for row in history(target_id)[:STEPS]]
    rows = findings_of_target(target_id)
    page = listed(request, OpenFirstQuery, rows, memory_shape)
    _tell_where(page.rows)
    context = {
        "target": target,
        "newest": target["newest_scan"],
        "strip": steps[::-1],
        "steps": steps[:TABLED],
        "list": page,
        "state": request.GET.get("state", "open"),
        "states": _states(target["findings"]),
        "severities": SEVERITIES[::-1],
        "baselines": _baselines(target),
        "source": _source(target, steps),
    }
    return render(request, "console/target.html", context)


def _tell_where(rows: list[Row]) -> None:
    """Say of each row which finding it is in the last scan that saw it."""
    seen = [(row["fingerprint"], row["last_scan_id"]) for row in rows]
    prints, scans = {each for each, _ in seen}, {each for _, each in seen}
    found = Finding.objects.filter(fingerprint__in=prints, scan_id__in=scans)
    columns = found.order_by().values_list("fingerprint", "scan_id", "pk")
    keys = {(fingerprint, scan): key for fingerprint, scan, key in columns}
    for row in rows:
        # None where that scan was deleted: what is remembered stays.
        row["finding_id"] = keys.get((row["fingerprint"], row["last_scan_id"]))


def _states(counts: Row) -> list[tuple[str, int]]:
    return [(name, counts[name]) for name in STATES]


def _baselines(target: Row) -> list[Row]:
    """Return the baselines of a target, newest first; what was retired last."""
    rows = Baseline.objects.of_target(target["scan_type"], target["name"])
    newest = rows.order_by("-created_at", "-baseline_id")
    found = list(newest.values(*BASELINE_COLUMNS)[:BASELINES])
    return sorted(found, key=lambda row: row["status"] == BaselineStatus.RETIRED)


def _source(target: Row, steps: list[Row]) -> Row | None:
    """Return the newest completed scan of which there is no baseline in force yet."""
    completed = next((s for s in steps if s["scan_status"] == "completed"), None)
    active = target["baseline"]
    if completed and active and active["scan_id"] == completed["scan_id"]:
        return None
    return completed
