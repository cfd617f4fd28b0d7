"""The shapes of answers, declared for the schema; `shapes.py` makes them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from scanners.contract import Category, TargetKind
from scans.api import shown
from scans.api.queries import SEVERITIES
from scans.choices import BaselineStatus, RunStatus, ScanStatus, Verdict
from scans.drift import Kind, Nature

DETECTION = ["available", "missing", "broken"]


def _texts() -> serializers.ListField:
    return serializers.ListField(child=serializers.CharField())


class PolicyNameSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    version = serializers.IntegerField()


class ProgressSerializer(serializers.Serializer[Any]):
    """Bytes laid out and hashed (`fetch`), then seconds against the limit (`scan`).

    `total` is 0 where nobody knows it; a finished scan has done it all.
    """

    stage = serializers.CharField()
    done = serializers.IntegerField()
    total = serializers.IntegerField()


class CountsSerializer(serializers.Serializer[Any]):
    total_findings = serializers.IntegerField()
    critical_count = serializers.IntegerField()
    high_count = serializers.IntegerField()
    medium_count = serializers.IntegerField()
    low_count = serializers.IntegerField()
    info_count = serializers.IntegerField()


class ScanSerializer(CountsSerializer):
    """One request to look at one target, and the gate's answer."""

    scan_id = serializers.UUIDField()
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    scan_type = serializers.ChoiceField(TargetKind.choices)
    target = serializers.CharField()
    scan_status = serializers.ChoiceField(ScanStatus.choices)
    verdict = serializers.ChoiceField(Verdict.choices, allow_null=True)
    passed = serializers.BooleanField(allow_null=True)
    reasons = _texts()
    new_findings = serializers.IntegerField()
    duration_ms = serializers.IntegerField(allow_null=True)
    progress = ProgressSerializer()
    policy = PolicyNameSerializer()
    baseline_id = serializers.UUIDField(allow_null=True)
    digest = serializers.CharField(allow_null=True)
    labels = serializers.DictField(child=serializers.CharField())
    requested_by = serializers.CharField()
    attempt = serializers.IntegerField()


class SkippedSerializer(serializers.Serializer[Any]):
    path = serializers.CharField()
    reason = serializers.CharField()


class CoverageSerializer(serializers.Serializer[Any]):
    """What one scanner looked at and what it left out."""

    complete = serializers.BooleanField()
    files_total = serializers.IntegerField()
    files_scanned = serializers.IntegerField()
    files_inert = serializers.IntegerField()
    bytes_scanned = serializers.IntegerField()
    skipped = SkippedSerializer(many=True)
    notes = _texts()


class RunSerializer(serializers.Serializer[Any]):
    """One scanner's turn in one scan."""

    scanner = serializers.CharField()
    tool_version = serializers.CharField()
    status = serializers.ChoiceField(RunStatus.choices)
    sandbox = serializers.CharField()
    reused_from = serializers.UUIDField(
        allow_null=True,
        help_text="The scan that really looked, where nothing that decides the result "
        "has changed since: bytes, names, scanner, tool, rules, sandbox.",
    )
    duration_ms = serializers.IntegerField()
    findings_count = serializers.IntegerField()
    coverage = CoverageSerializer()
    error = serializers.CharField(allow_null=True)


class AppliedWaiverSerializer(serializers.Serializer[Any]):
    """An accepted risk; `target` is null where it is accepted on all targets."""

    waiver_id = serializers.UUIDField()
    fingerprint = serializers.CharField()
    target = serializers.CharField(allow_null=True)
    reason = serializers.CharField()
    created_by = serializers.CharField()
    expires_at = serializers.DateTimeField()


class ScanDetailSerializer(ScanSerializer):
    """A scan with the runs of its scanners."""

    runs = RunSerializer(many=True)
    waivers = AppliedWaiverSerializer(
        many=True,
        help_text="What the verdict rests on: the waivers that covered findings when "
        "the scan was judged, as they were then.",
    )


class LocationSerializer(serializers.Serializer[Any]):
    path = serializers.CharField(allow_null=True)
    member = serializers.CharField(allow_null=True)
    line = serializers.IntegerField(allow_null=True)
    byte_offset = serializers.IntegerField(allow_null=True)
    server = serializers.CharField(allow_null=True)
    tool = serializers.CharField(allow_null=True)


@extend_schema_serializer(examples=shown.FINDING)
class FindingSerializer(serializers.Serializer[Any]):
    """One weakness at one place, in one scan."""

    finding_id = serializers.UUIDField()
    scan_id = serializers.UUIDField()
    scanner = serializers.CharField()
    rule = serializers.CharField()
    severity = serializers.ChoiceField(SEVERITIES)
    category = serializers.ChoiceField(Category.choices)
    title = serializers.CharField()
    description = serializers.CharField()
    location = LocationSerializer()
    evidence = serializers.DictField()
    remediation = serializers.CharField()
    cwe = _texts()
    owasp_llm = _texts()
    owasp_mcp = _texts()
    atlas = _texts()
    fingerprint = serializers.CharField()
    is_new = serializers.BooleanField()
    waived = serializers.BooleanField(
        help_text="Covered by a waiver now; the scan's verdict stays as it was given."
    )
    waiver_id = serializers.UUIDField(allow_null=True)
    created_at = serializers.DateTimeField()


@extend_schema_serializer(examples=shown.BASELINE)
class BaselineSerializer(serializers.Serializer[Any]):
    """An approved, or proposed, snapshot of a target."""

    baseline_id = serializers.UUIDField()
    scan_id = serializers.UUIDField(allow_null=True)
    scan_type = serializers.ChoiceField(TargetKind.choices)
    target = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    status = serializers.ChoiceField(BaselineStatus.choices)
    is_active = serializers.BooleanField()
    digest = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()
    approved_at = serializers.DateTimeField(allow_null=True)
    approved_by = serializers.CharField()
    retired_at = serializers.DateTimeField(allow_null=True)
    retired_by = serializers.CharField()


class ElementSerializer(serializers.Serializer[Any]):
    path = serializers.CharField()
    size = serializers.IntegerField()
    digest = serializers.CharField()
    definition = serializers.JSONField(
        help_text="What later scans are compared with, secrets as keyed digests: of a "
        "server, tool, prompt or resource its definition; of a file its digest, size, "
        "format and what the scanners saw inside. Null in baselines of an earlier "
        "release.",
    )


@extend_schema_serializer(examples=shown.BASELINE_DETAIL)
class BaselineDetailSerializer(BaselineSerializer):
    """A baseline with the elements it holds."""

    elements = ElementSerializer(many=True)


class DriftChangeSerializer(serializers.Serializer[Any]):
    """One difference. `path` is a JSON Pointer into the element, "" all of it."""

    kind = serializers.ChoiceField([kind.value for kind in Kind])
    nature = serializers.ChoiceField(
        [nature.value for nature in Nature],
        help_text="What the change means to whoever uses the target.",
    )
    element = serializers.CharField()
    path = serializers.CharField(allow_blank=True)
    before = serializers.JSONField()
    after = serializers.JSONField()
    severity = serializers.ChoiceField(SEVERITIES)


class DriftSerializer(serializers.Serializer[Any]):
    """How what is now differs from what was approved, the gravest first."""

    baseline_id = serializers.UUIDField(
        allow_null=True, help_text="Null where no baseline was active."
    )
    changes = DriftChangeSerializer(many=True)
    omitted = serializers.IntegerField(
        help_text="Changes beyond those that are listed; their findings count them."
    )
    not_compared = serializers.ListField(
        child=serializers.CharField(),
        help_text="What could not be told, and why. Each is a gap of the scan.",
    )


@extend_schema_serializer(examples=shown.WAIVER)
class WaiverSerializer(AppliedWaiverSerializer):
    """A waiver, in force until it expires."""

    created_at = serializers.DateTimeField()
    is_expired = serializers.BooleanField()


@extend_schema_serializer(examples=shown.POLICY)
class PolicySerializer(serializers.Serializer[Any]):
    """One version of a policy; it never changes."""

    policy_id = serializers.UUIDField()
    name = serializers.CharField()
    version = serializers.IntegerField()
    document = serializers.DictField(
        help_text="As it was sent; absent keys have the values of the default policy."
    )
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()


@extend_schema_serializer(examples=shown.POLICY_DEFAULT)
class PolicyDefaultSerializer(serializers.Serializer[Any]):
    """Scans of this type that name no policy, of targets that match: this one."""

    policy_default_id = serializers.UUIDField()
    scan_type = serializers.ChoiceField(TargetKind.choices)
    pattern = serializers.CharField()
    policy = serializers.CharField(help_text="Its newest version is meant.")
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField()


class FlipSerializer(serializers.Serializer[Any]):
    before = serializers.CharField()
    after = serializers.CharField()
    scans = serializers.IntegerField()


class FlippedTargetSerializer(serializers.Serializer[Any]):
    """A target whose newest scan would have another verdict."""

    scan_type = serializers.ChoiceField(TargetKind.choices)
    target = serializers.CharField()
    before = serializers.CharField()
    after = serializers.CharField()


class WhatIfSummarySerializer(serializers.Serializer[Any]):
    scans = serializers.IntegerField()
    changed = serializers.IntegerField()
    not_judged = serializers.IntegerField(
        help_text="Scans of an older release, of which too little was kept."
    )
    is_complete = serializers.BooleanField(
        help_text="False when there are more scans than the newest 10,000."
    )
    flips = FlipSerializer(many=True)
    targets = FlippedTargetSerializer(many=True)


class ChangeSerializer(serializers.Serializer[Any]):
    scan_id = serializers.UUIDField()
    target = serializers.CharField()
    before = serializers.CharField()
    after = serializers.CharField()


@extend_schema_serializer(examples=shown.WHAT_IF)
class WhatIfAnswerSerializer(serializers.Serializer[Any]):
    """What would differ; scans that would not are only counted."""

    summary = WhatIfSummarySerializer()
    changes = ChangeSerializer(many=True)


@extend_schema_serializer(examples=shown.VERDICT)
class VerdictSerializer(CountsSerializer):
    """What the latest whole scan of these bytes said, and whether that still holds."""

    digest = serializers.CharField()
    scan_id = serializers.UUIDField()
    scan_type = serializers.ChoiceField(TargetKind.choices)
    verdict = serializers.ChoiceField(Verdict.choices)
    passed = serializers.BooleanField()
    reasons = _texts()
    policy = PolicyNameSerializer()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField()
    is_current = serializers.BooleanField(
        help_text="Judged by the policy's newest version, with the rules in force: our "
        "release, every tool and its lock, the same on all live workers. Else a pass "
        "is answered as `inconclusive`, and `reasons` begins with what has changed."
    )


class ScannerOnWorkerSerializer(serializers.Serializer[Any]):
    worker = serializers.CharField()
    sandbox = serializers.CharField()
    status = serializers.ChoiceField(DETECTION)
    version = serializers.CharField()
    reason = serializers.CharField()
    seen_at = serializers.DateTimeField()


class ScannerSerializer(serializers.Serializer[Any]):
    """Whether a scanner detected its planted sample in every live worker."""

    name = serializers.CharField()
    kinds = serializers.ListField(child=serializers.ChoiceField(TargetKind.choices))
    status = serializers.ChoiceField(DETECTION)
    version = serializers.CharField()
    reason = serializers.CharField()
    workers = ScannerOnWorkerSerializer(many=True)


class SignatureSerializer(serializers.Serializer[Any]):
    keyid = serializers.CharField()
    sig = serializers.CharField(help_text="Ed25519, in base64.")


class EnvelopeSerializer(serializers.Serializer[Any]):
    """DSSE v1: what is signed is the payload with its type."""

    payload = serializers.CharField(help_text="The statement, in base64.")
    payloadType = serializers.CharField()  # noqa: N815 - DSSE's name
    signatures = SignatureSerializer(many=True)


class AttestationKeySerializer(serializers.Serializer[Any]):
    keyid = serializers.CharField(help_text="As in `signatures[].keyid`.")
    algorithm = serializers.CharField()
    public_key = serializers.CharField(help_text="PEM, SubjectPublicKeyInfo.")
