"""The shapes of targets and their history; `target_shapes.py` makes them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from scanners.contract import Category, TargetKind
from scans.api.answers import (
    BaselineSerializer,
    CountsSerializer,
    LocationSerializer,
    PolicyNameSerializer,
)
from scans.api.queries import SEVERITIES
from scans.choices import ScanStatus, Verdict

STATES = ["open", "resolved"]


class StepSerializer(CountsSerializer):
    """One judged scan of a target, and what it changed in what is known of it."""

    scan_id = serializers.UUIDField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    scan_status = serializers.ChoiceField(ScanStatus.choices)
    verdict = serializers.ChoiceField(Verdict.choices)
    passed = serializers.BooleanField()
    new_findings = serializers.IntegerField()
    resolved_findings = serializers.IntegerField(
        help_text="Were open before; this scan looked for them and they were gone."
    )
    reopened_findings = serializers.IntegerField(
        help_text="Had been resolved, and are back."
    )
    baseline_id = serializers.UUIDField(allow_null=True)
    digest = serializers.CharField(allow_null=True)
    policy = PolicyNameSerializer()


class TargetSerializer(serializers.Serializer[Any]):
    """What is scanned under one name, with its newest judged scan."""

    target_id = serializers.UUIDField()
    scan_type = serializers.ChoiceField(TargetKind.choices)
    name = serializers.CharField()
    created_at = serializers.DateTimeField()
    last_completed_at = serializers.DateTimeField(
        allow_null=True,
        help_text="Of the newest completed scan, though it may be deleted by now.",
    )
    baseline_id = serializers.UUIDField(allow_null=True, help_text="The active one.")
    newest_scan = StepSerializer(allow_null=True)


class BySeveritySerializer(serializers.Serializer[Any]):
    critical = serializers.IntegerField()
    high = serializers.IntegerField()
    medium = serializers.IntegerField()
    low = serializers.IntegerField()
    info = serializers.IntegerField()


class TargetCountsSerializer(serializers.Serializer[Any]):
    """How many findings of the target are what; `new` to `unconfirmed` are open."""

    open = serializers.IntegerField()
    new = serializers.IntegerField()
    reopened = serializers.IntegerField()
    unconfirmed = serializers.IntegerField(
        help_text="The newest scan could not look for them."
    )
    resolved = serializers.IntegerField()
    open_by_severity = BySeveritySerializer()


class TargetDetailSerializer(TargetSerializer):
    """A target with its active baseline and the counts of its findings."""

    baseline = BaselineSerializer(allow_null=True)
    findings = TargetCountsSerializer()


class TargetFindingSerializer(serializers.Serializer[Any]):
    """One weakness of a target across its scans: since when, until when."""

    fingerprint = serializers.CharField()
    scanner = serializers.CharField()
    rule = serializers.CharField()
    severity = serializers.ChoiceField(SEVERITIES)
    category = serializers.ChoiceField(Category.choices)
    title = serializers.CharField()
    location = LocationSerializer()
    state = serializers.ChoiceField(STATES)
    is_new = serializers.BooleanField(
        help_text="First seen by the target's newest completed scan."
    )
    is_confirmed = serializers.BooleanField(
        help_text="False while it is open and the newest scan could not look for it."
    )
    first_seen_at = serializers.DateTimeField()
    first_scan_id = serializers.UUIDField()
    last_seen_at = serializers.DateTimeField()
    last_scan_id = serializers.UUIDField()
    resolved_at = serializers.DateTimeField(allow_null=True)
    resolved_scan_id = serializers.UUIDField(allow_null=True)
    reopened_at = serializers.DateTimeField(allow_null=True)
    times_reopened = serializers.IntegerField()
    waived = serializers.BooleanField()
    waiver_id = serializers.UUIDField(allow_null=True)
