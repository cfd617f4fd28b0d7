"""What may stand after the `?` of a list, and which rows it leaves."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar, cast

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import QueryDict
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from apikeys.api.strict import PAGE_PARAMETERS, StrictSerializer
from scanners.contract import Category, Severity, TargetKind
from scans.choices import BaselineStatus, ScanStatus, Verdict
from scans.exports.cyclonedx import VERSIONS
from scans.exports.target_shapes import LOOKUPS
from scans.models import Scan, Waiver
from scans.models.scans import has_any
from scans.models.waivers import WaiverQuerySet

type Rows = QuerySet[Any, Any]
type Values = dict[str, Any]

SEVERITIES = [severity.name.lower() for severity in Severity]
FLAGS = ["true", "false"]
# Of the findings of a target; all but the last are open.
STATES = {
    "open": Q(resolved_at=None),
    "new": Q(resolved_at=None, is_new=True),
    "reopened": Q(resolved_at=None, times_reopened__gt=0),
    "resolved": Q(resolved_at__isnull=False),
}
PASSED = {"true": [Verdict.PASS], "false": [Verdict.FAIL, Verdict.INCONCLUSIVE]}


class SearchField(serializers.CharField):
    """Part of a text. Three characters are what a trigram index can look up."""

    def __init__(self, **options: Any) -> None:
        super().__init__(min_length=3, max_length=200, required=False, **options)


class Query(StrictSerializer):
    """One list's parameters; those of the page (`others`) are the paginator's."""

    others: ClassVar[frozenset[str]] = PAGE_PARAMETERS
    # The same words always mean the same SQL: no filter looks at a clock or at rows.
    is_lasting: ClassVar[bool] = False

    @classmethod
    def read(cls, request: Request) -> Values:
        """Return the checked values; raise `ValidationError` naming the parameters."""
        return dict(_read(cls, request.META.get("QUERY_STRING", "")))

    @classmethod
    def filter(cls, rows: Rows, values: Values) -> Rows:
        return rows


@lru_cache(maxsize=512)
def _read(query: type[Query], address: str) -> Values:
    # As Django reads them (PEP 3333: bytes in the clothes of text), once an address.
    given = QueryDict(address.encode("latin-1"))
    if twice := [name for name, values in given.lists() if len(values) > 1]:
        raise ValidationError({name: ["Given more than once."] for name in twice})
    asked = {k: v for k, v in given.dict().items() if k not in query.others}
    return _checked(query, tuple(asked.items()))


@lru_cache(maxsize=512)
def _checked(query: type[Query], asked: tuple[tuple[str, str], ...]) -> Values:
    # The same words mean the same whoever asks. What is refused is not kept.
    checker = query(data=dict(asked))
    checker.is_valid(raise_exception=True)
    values: Values = checker.validated_data
    return values


class ScanQuery(Query):
    is_lasting = True

    scan_type = serializers.ChoiceField(TargetKind.choices, required=False)
    scan_status = serializers.ChoiceField(ScanStatus.choices, required=False)
    verdict = serializers.ChoiceField(Verdict.choices, required=False)
    passed = serializers.ChoiceField(FLAGS, required=False)
    target = serializers.CharField(
        max_length=500, required=False, help_text="The whole name of the target."
    )
    q = SearchField(help_text="Part of the target's name, in any case.")
    severity = serializers.ChoiceField(
        SEVERITIES,
        required=False,
        help_text="Scans with at least one finding of this severity.",
    )
    created_after = serializers.DateTimeField(required=False)
    created_before = serializers.DateTimeField(required=False)

    @classmethod
    def filter(cls, rows: Rows, values: Values) -> Rows:
        lookups = {
            "scan_type": "scan_type",
            "scan_status": "scan_status",
            "verdict": "verdict",
            "target": "target",
            "q": "target__icontains",
            "created_after": "created_at__gt",
            "created_before": "created_at__lt",
        }
        rows = rows.filter(**_renamed(lookups, values))
        if flag := values.get("passed"):
            # `passed` is made of the verdict, which has the index.
            rows = rows.filter(verdict__in=PASSED[flag])
        if severity := values.get("severity"):
            rows = rows.filter(has_any(Severity[severity.upper()]))
        return rows


class ScanFindingQuery(Query):
    severity = serializers.ChoiceField(SEVERITIES, required=False)
    scanner = serializers.CharField(max_length=50, required=False)
    category = serializers.ChoiceField(Category.choices, required=False)
    rule = serializers.CharField(max_length=200, required=False)
    q = SearchField(help_text="Part of the title or of the rule, in any case.")
    waived = serializers.ChoiceField(FLAGS, required=False)

    @classmethod
    def filter(cls, rows: Rows, values: Values) -> Rows:
        lookups = {
            "scanner": "scanner",
            "category": "category",
            "rule": "rule",
            "created_after": "created_at__gt",
        }
        rows = rows.filter(**_renamed(lookups, values))
        if name := values.get("severity"):
            rows = rows.filter(severity=Severity[name.upper()])
        if part := values.get("q"):
            rows = rows.filter(Q(title__icontains=part) | Q(rule__icontains=part))
        if flag := values.get("waived"):
            rows = _waived(rows) if flag == "true" else rows.filter(waiver_id=None)
        return rows


class FindingQuery(ScanFindingQuery):
    created_after = serializers.DateTimeField(required=False)


class BaselineQuery(Query):
    scan_type = serializers.ChoiceField(TargetKind.choices, required=False)
    target = serializers.CharField(max_length=500, required=False)
    status = serializers.ChoiceField(BaselineStatus.choices, required=False)
    scan_id = serializers.UUIDField(required=False)
    q = SearchField(help_text="Part of its name or of the target's, in any case.")

    @classmethod
    def filter(cls, rows: Rows, values: Values) -> Rows:
        same = {name: name for name in ("scan_type", "target", "status", "scan_id")}
        rows = rows.filter(**_renamed(same, values))
        if part := values.get("q"):
            rows = rows.filter(Q(name__icontains=part) | Q(target__icontains=part))
        return rows


class PolicyDefaultQuery(Query):
    is_lasting = True

    scan_type = serializers.ChoiceField(TargetKind.choices, required=False)

    @classmethod
    def filter(cls, rows: Rows, values: Values) -> Rows:
        return rows.filter(**_renamed({"scan_type": "scan_type"}, values))


class TargetQuery(Query):
    scan_type = serializers.ChoiceField(TargetKind.choices, required=False)
    name = serializers.CharField(
        max_length=500, required=False, help_text="The whole name."
    )
    q = SearchField(help_text="Part of the name, in any case.")
    verdict = serializers.ChoiceField(
        Verdict.choices, required=False, help_text="That of the newest judged scan."
    )
    has_baseline = serializers.ChoiceField(FLAGS, required=False)

    @classmethod
    def filter(cls, rows: Rows, values: Values) -> Rows:
        rows = rows.filter(**_renamed(LOOKUPS, values))
        if verdict := values.get("verdict"):
            # Where hardly any target has it, each is looked at: by an index alone,
            # which holds the verdict and not the state that goes with it.
            judged = Scan.objects.filter(
                target_record=OuterRef("pk"), verdict__isnull=False
            )
            newest = judged.order_by("-created_at", "-scan_id").values("verdict")[:1]
            rows = rows.alias(newest_verdict=Subquery(newest))
            rows = rows.filter(newest_verdict=verdict)
        if flag := values.get("has_baseline"):
            rows = rows.filter(baseline_id__isnull=flag == "false")
        return rows


class HistoryQuery(Query):
    verdict = serializers.ChoiceField(Verdict.choices, required=False)
    created_after = serializers.DateTimeField(required=False)
    created_before = serializers.DateTimeField(required=False)

    @classmethod
    def filter(cls, rows: Rows, values: Values) -> Rows:
        lookups = {
            "verdict": "verdict",
            "created_after": "created_at__gt",
            "created_before": "created_at__lt",
        }
        return rows.filter(**_renamed(lookups, values))


class TargetFindingQuery(Query):
    state = serializers.ChoiceField(
        list(STATES),
        required=False,
        help_text="`new` and `reopened` are open too: new since the newest scan, "
        "reopened after they had been resolved.",
    )
    severity = serializers.ChoiceField(SEVERITIES, required=False)
    scanner = serializers.CharField(max_length=50, required=False)
    category = serializers.ChoiceField(Category.choices, required=False)
    rule = serializers.CharField(max_length=200, required=False)
    fingerprint = serializers.CharField(max_length=70, required=False)
    q = SearchField(help_text="Part of the title or of the rule, in any case.")
    resolved_after = serializers.DateTimeField(required=False)
    first_seen_after = serializers.DateTimeField(required=False)

    @classmethod
    def filter(cls, rows: Rows, values: Values) -> Rows:
        same = ("scanner", "category", "rule", "fingerprint")
        lookups = dict(zip(same, same, strict=True)) | {
            "resolved_after": "resolved_at__gt",
            "first_seen_after": "first_seen_at__gt",
        }
        rows = rows.filter(**_renamed(lookups, values))
        if name := values.get("severity"):
            rows = rows.filter(severity=Severity[name.upper()])
        if part := values.get("q"):
            rows = rows.filter(Q(title__icontains=part) | Q(rule__icontains=part))
        if state := values.get("state"):
            rows = rows.filter(STATES[state])
        return rows


class WaiverQuery(Query):
    fingerprint = serializers.CharField(max_length=70, required=False)
    target = serializers.CharField(max_length=500, required=False)
    expired = serializers.ChoiceField(FLAGS, required=False)
    stale = serializers.ChoiceField(
        FLAGS,
        required=False,
        help_text="Whether it matches nothing in any target's newest completed scan.",
    )

    @classmethod
    def filter(cls, rows: Rows, values: Values) -> Rows:
        same = {"fingerprint": "fingerprint", "target": "target"}
        waivers = cast(WaiverQuerySet, rows).filter(**_renamed(same, values))
        if flag := values.get("expired"):
            waivers = waivers.expired() if flag == "true" else waivers.in_force()
        if flag := values.get("stale"):
            waivers = waivers.stale() if flag == "true" else waivers.matching()
        return waivers


class PolicyQuery(Query):
    name = serializers.CharField(max_length=100, required=False)

    @classmethod
    def filter(cls, rows: Rows, values: Values) -> Rows:
        return rows.filter(**values)


class VersionQuery(Query):
    others = frozenset()

    version = serializers.IntegerField(
        min_value=1, max_value=2**31 - 1, required=False, help_text="Default: newest."
    )


class SbomQuery(Query):
    others = frozenset()

    version = serializers.ChoiceField(VERSIONS, default=VERSIONS[0])


class VerdictQuery(Query):
    others = frozenset()

    policy = serializers.CharField(max_length=100, default="default")


def _waived(rows: Rows) -> Rows:
    # From the few waivers to their findings: most findings of a million have none.
    prints = Waiver.objects.in_force().values("fingerprint")
    return rows.filter(fingerprint__in=prints, waiver_id__isnull=False)


def _renamed(lookups: dict[str, str], values: dict[str, Any]) -> dict[str, Any]:
    return {lookups[name]: values[name] for name in lookups if name in values}
