"""Policies: what each rules, its versions, and what they differ in."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from rest_framework import serializers

from apikeys.choices import Role
from scanners.contract import TargetKind
from scans import policies, policy_text
from scans.api.queries import Query
from scans.choices import NotFound
from scans.console.diffs import side_by_side
from scans.console.doors import PageRequest, needs
from scans.console.lists import listed, tidy
from scans.exports.shapes import (
    POLICY_COLUMNS,
    POLICY_DEFAULT_COLUMNS,
    Row,
    policy_shape,
)
from scans.gate import DEFAULT_DOCUMENT, DRIFT_KINDS, with_defaults
from scans.models import Policy, PolicyDefault
from scans.models.policies import BUILT_IN
from scans.policy_choice import MAX_PATTERN

VERSIONS_SHOWN = 50
DEFAULTS_SHOWN = 200
WORDS = {
    "severity_threshold": "Fails from",
    "block_categories": "Always fails",
    "allow_rules": "Never fails",
    "require_coverage": "Must have been looked at",
    "require_scanners": "Scanners that must have completed",
    "only_new": "Judges only findings that are not in the baseline",
    "drift": "Drift from the baseline",
    "require_sbom": "Needs an SBOM",
}


class VersionsQuery(Query):
    """Which version a page shows, and with which it is compared."""

    version = serializers.IntegerField(min_value=1, max_value=2**31 - 1, required=False)
    against = serializers.IntegerField(min_value=1, max_value=2**31 - 1, required=False)


@require_safe
@needs(Role.VIEWER)
def policy_list(request: PageRequest) -> HttpResponse:
    if tidied := tidy(request):
        return tidied
    Policy.objects.built_in()
    rows = Policy.objects.current().order_by("name", "policy_id")
    page = listed(request, Query, rows.values(*POLICY_COLUMNS), _shown)
    defaults = PolicyDefault.objects.order_by("scan_type", "pattern")
    context = {
        "list": page,
        "defaults": defaults.values(*POLICY_DEFAULT_COLUMNS)[:DEFAULTS_SHOWN],
        "kinds": TargetKind.values,
        "most": MAX_PATTERN,
    }
    return render(request, "console/policies.html", context)


@require_safe
@needs(Role.VIEWER)
def policy_page(request: PageRequest, name: str) -> HttpResponse:
    """One version with its rules in words, and its difference from the one before."""
    asked = _numbers(request)
    policy = policies.found(name, asked.get("version"))
    against = _other(policy, asked.get("against"))
    versions = list(
        Policy.objects.filter(name=name)
        .order_by("-version")
        .values("version", "created_at", "created_by")[:VERSIONS_SHOWN]
    )
    text = written(policy.document)
    context = {
        "policy": _shown(policy_shape(policy)),
        "rules": rules(policy.document),
        "text": text,
        "versions": versions,
        "newest": versions[0]["version"],
        "title": str(policy),
        "against": against,
        "against_title": str(against),
        "diff": side_by_side(written(against.document), text) if against else [],
    }
    return render(request, "console/policy.html", context)


def written(document: dict[str, Any]) -> str:
    """Return a policy as YAML with its keys in our order: jsonb keeps no order."""
    whole = {key: document[key] for key in DEFAULT_DOCUMENT if key in document}
    if drift := whole.get("drift"):
        whole["drift"] = {kind: drift[kind] for kind in DRIFT_KINDS if kind in drift}
    return policy_text.write(whole)


def rules(document: dict[str, Any]) -> list[Row]:
    """Return each key of a policy with what it means, and whether it is the default."""
    whole = with_defaults(document)
    return [
        {
            "key": key,
            "words": words,
            "value": whole[key],
            "is_default": whole[key] == DEFAULT_DOCUMENT[key],
        }
        for key, words in WORDS.items()
    ]


def _shown(row: Row) -> Row:
    return row | {
        "is_built_in": row["name"] == BUILT_IN,
        "whole": with_defaults(row["document"]),
    }


def _numbers(request: PageRequest) -> dict[str, int]:
    wanted = VersionsQuery(data=request.GET.dict())
    if not wanted.is_valid():
        raise NotFound("There is no such version")
    return dict(wanted.validated_data)


def _other(policy: Policy, version: int | None) -> Policy | None:
    """Return the version to compare with: by default the one before."""
    if version is None and policy.version == 1:
        return None
    return policies.found(policy.name, version or policy.version - 1)
