"""What a client may send, field by field; what is not declared is refused by name."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from apikeys.api.strict import (
    StrictBooleanField,
    StrictCharField,
    StrictIntegerField,
    StrictSerializer,
)
from scanners.contract import TargetKind
from scans.models.policy_defaults import EVERY_TARGET as EVERY_NAME
from scans.policy_choice import MAX_PATTERN
from scans.storage import Received
from scans.submissions import Submission
from scans.waivers import EVERY_TARGET
from scans.waiving import MAX_REASON, MAX_TARGET

_OFFSET = re.compile(r"(?:[zZ]|[+-][0-9]{2}:?[0-9]{2})$")
PIECES = ("config", "tools", "prompts", "resources", "instructions")


class AsSent(serializers.Field[Any, Any, Any, Any]):
    """A part of an MCP document: intake reads it whole and names what is wrong."""

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field(OpenApiTypes.OBJECT)
class ObjectAsSent(AsSent):
    pass


@extend_schema_field({"type": "array", "items": {"type": "object"}})
class ListAsSent(AsSent):
    pass


@extend_schema_field(OpenApiTypes.STR)
class TextAsSent(AsSent):
    pass


class StrictChoiceField(serializers.ChoiceField):
    """One of the texts; a number that prints like one is not."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid_choice", input=data)
        return super().to_internal_value(data)


class LabelsField(serializers.DictField):
    child = StrictCharField(max_length=200)

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            self.fail("not_a_dict", input_type=type(data).__name__)
        return super().to_internal_value(data)


class HeadersField(serializers.DictField):
    """Texts by name. What is wrong with one is said without its value."""

    child = StrictCharField(allow_blank=True, trim_whitespace=False)

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            self.fail("not_a_dict", input_type=type(data).__name__)
        return super().to_internal_value(data)


class OptionsSerializer(StrictSerializer):
    """What both ways to submit share."""

    scan_type = StrictChoiceField(TargetKind.choices)
    target = StrictCharField(max_length=500, required=False)
    policy = StrictCharField(
        max_length=100,
        required=False,
        help_text="Default: that of `/policy-defaults`, else `default`.",
    )
    scanners = serializers.ListField(
        child=StrictCharField(max_length=50),
        allow_empty=False,
        max_length=50,
        required=False,
        help_text="Only these scanners; what is left out makes a pass impossible.",
    )
    timeout_seconds = StrictIntegerField(min_value=1, required=False)
    labels = LabelsField(required=False)
    introspect = StrictBooleanField(
        default=False,
        help_text="Start the servers of `config` and ask for their lists.",
    )
    introspect_network = StrictBooleanField(
        default=False,
        help_text="Let these servers contact the internet, through a checked proxy.",
    )

    def options(self, *, traceparent: str) -> dict[str, Any]:
        """Return what a `Submission` takes besides what is to be scanned."""
        values = self.validated_data
        names = values.get("scanners")
        return {
            "scan_type": TargetKind(values["scan_type"]),
            "policy": values.get("policy", ""),
            "scanners": None if names is None else tuple(dict.fromkeys(names)),
            "timeout_seconds": values.get("timeout_seconds"),
            "labels": values.get("labels", {}),
            "introspect": values["introspect"],
            "introspect_network": values["introspect_network"],
            "traceparent": traceparent,
        }


class SubmissionSerializer(OptionsSerializer):
    """A scan asked for in JSON: a path, an address, or an MCP document."""

    target = StrictCharField(
        max_length=2000,
        required=False,
        help_text="model: a path below the scan roots, or https://, s3://, hf://. "
        "mcp: the name of what is scanned.",
    )
    config = ObjectAsSent(required=False, help_text="An MCP client's configuration.")
    tools = ListAsSent(required=False, help_text="A server's answer to tools/list.")
    prompts = ListAsSent(required=False)
    resources = ListAsSent(required=False)
    instructions = TextAsSent(required=False)
    server_url = StrictCharField(
        max_length=2000,
        required=False,
        help_text="An MCP server's address (streamable HTTP or SSE). It is asked for "
        "its lists.",
    )
    headers = HeadersField(
        required=False,
        write_only=True,
        help_text="Sent to `server_url` alone. Stored encrypted, never shown again.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["scan_type"] == TargetKind.MODEL:
            only = (*PIECES, "server_url", "headers")
            mcp = [name for name in only if name in attrs]
            if mcp:
                raise ValidationError({n: ["Only for scan_type mcp."] for n in mcp})
            if "target" not in attrs:
                raise ValidationError({"target": ["This field is required."]})
        elif not any(name in attrs for name in (*PIECES, "server_url")):
            one_of = "Send config, tools, prompts, resources or server_url."
            raise ValidationError({"config": [one_of]})
        return attrs

    def submission(self, *, traceparent: str) -> Submission:
        values = self.validated_data
        options = self.options(traceparent=traceparent)
        if options["scan_type"] is TargetKind.MODEL:
            return Submission(source=values["target"], **options)
        document = {name: values[name] for name in PIECES if name in values}
        return Submission(
            target=values.get("target", ""),
            document=document or None,
            source=values.get("server_url", ""),
            headers=values.get("headers", {}),
            **options,
        )


class UploadSerializer(OptionsSerializer):
    """A scan asked for as a form with files."""

    target = StrictCharField(
        max_length=500, required=False, help_text="Default: the first file's base name."
    )

    def submission(self, files: list[Received], *, traceparent: str) -> Submission:
        return Submission(
            target=self.validated_data.get("target", ""),
            files=tuple(files),
            **self.options(traceparent=traceparent),
        )


class RescanSerializer(StrictSerializer):
    fresh = StrictBooleanField(default=False, help_text="Ignore stored results.")


class StrictUuidField(serializers.UUIDField):
    """An id as a text; DRF also takes numbers."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        return super().to_internal_value(data)


class NewBaselineSerializer(StrictSerializer):
    scan_id = StrictUuidField()
    name = StrictCharField(max_length=200)
    description = StrictCharField(max_length=10_000, allow_blank=True, default="")


class CompareSerializer(StrictSerializer):
    left_id = StrictUuidField(help_text="What was approved.")
    right_id = StrictUuidField(help_text="What is now.")


class StrictDateTimeField(serializers.DateTimeField):
    """RFC 3339 text with its offset: whose midnight is meant is not guessed."""

    def to_internal_value(self, value: Any) -> datetime:
        if not isinstance(value, str):
            self.fail("invalid", format="2027-01-31T00:00:00Z")
        if not _OFFSET.search(value):
            raise ValidationError("Say the offset from UTC, such as Z or +02:00.")
        moment: datetime = super().to_internal_value(value)
        return moment


class NewWaiverSerializer(StrictSerializer):
    fingerprint = StrictCharField(max_length=70)
    target = StrictCharField(
        max_length=MAX_TARGET,
        required=False,
        allow_null=True,
        help_text="The whole name of one target; without it the waiver is for all.",
    )
    reason = StrictCharField(max_length=MAX_REASON)
    expires_at = StrictDateTimeField()

    def wanted(self) -> dict[str, Any]:
        values = self.validated_data
        return {**values, "target": values.get("target") or EVERY_TARGET}


class PolicyDocumentSerializer(StrictSerializer):
    document = ObjectAsSent(help_text="See the description: each key is optional.")


class NewPolicySerializer(PolicyDocumentSerializer):
    name = StrictCharField(max_length=100, trim_whitespace=False)


class NewPolicyDefaultSerializer(StrictSerializer):
    scan_type = StrictChoiceField(TargetKind.choices)
    pattern = StrictCharField(
        max_length=MAX_PATTERN,
        default=EVERY_NAME,
        trim_whitespace=False,
        help_text="Of target names, as of a shell: `*`, `?`, `[ab]`. Default: all.",
    )
    policy = StrictCharField(max_length=100)


class WhatIfSerializer(StrictSerializer):
    document = ObjectAsSent(
        required=False, help_text="Default: the policy's newest version."
    )
    scan_type = StrictChoiceField(TargetKind.choices, required=False)
    created_after = StrictDateTimeField(required=False)
