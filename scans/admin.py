"""The operators' door: look at rows, cancel, run again, clean up.

At a million rows an admin page is slow for four reasons, each avoided here: filters
that SELECT DISTINCT, full counts, facets, and JSON that nobody looks at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from apikeys.admin import ReadOnlyAdmin
from apikeys.authentication import actor_of
from apikeys.permissions import Role, role_of
from scans import baselines, intake, waiving
from scans.choices import Conflict, Gone, NotFound
from scans.models import (
    Baseline,
    Finding,
    Policy,
    Scan,
    ScannerRun,
    Target,
    Upload,
    Waiver,
    Worker,
)

SHOWN = 100


class DeletableAdmin(ReadOnlyAdmin):
    """Rows that the machine writes and an admin may remove."""

    def has_delete_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return role_of(request) is Role.ADMIN

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        # The stock page lists every child of every row; the database cascades.
        rows = list(objs)
        name = str(self.model._meta.verbose_name_plural)
        shown = [str(row) for row in rows[:SHOWN]]
        more = [f"and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
        return shown + more, {name: len(rows)}, set(), []


def each(
    request: HttpRequest,
    rows: QuerySet[Any],
    act: Callable[..., object],
    done: str,
    **options: Any,
) -> None:
    """Do `act` to each row; say how many went well, and why the others did not."""
    who, count = actor_of(request), 0
    for key in rows.values_list("pk", flat=True):
        try:
            act(key, actor=who, request=request, **options)
            count += 1
        except (Conflict, Gone, NotFound) as refusal:
            messages.warning(request, f"{key}: {refusal}")
    messages.success(request, f"{count} {done}")


@admin.register(Scan)
class ScanAdmin(DeletableAdmin):
    list_display = (
        "created_at",
        "target",
        "scan_type",
        "scan_status",
        "verdict",
        "critical_count",
        "high_count",
        "total_findings",
        "requested_by",
    )
    list_filter = ("scan_status", "verdict", "scan_type")
    list_select_related = False
    search_fields = ("target",)
    search_help_text = "Part of a target's name, at least three characters"
    ordering = ("-created_at", "-scan_id")
    actions = ("cancel_scans", "rescan_scans")

    @admin.action(description="Cancel selected scans", permissions=["delete"])
    def cancel_scans(self, request: HttpRequest, rows: QuerySet[Scan]) -> None:
        each(request, rows, intake.cancel, "cancelled")

    @admin.action(description="Scan the selected again", permissions=["delete"])
    def rescan_scans(self, request: HttpRequest, rows: QuerySet[Scan]) -> None:
        each(request, rows, intake.rescan, "queued again", fresh=False)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Scan]) -> None:
        keys = list(queryset.values_list("pk", flat=True))
        intake.delete(keys, actor=actor_of(request), request=request)

    def delete_model(self, request: HttpRequest, obj: Scan) -> None:
        intake.delete([obj.pk], actor=actor_of(request), request=request)


@admin.register(Finding)
class FindingAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "severity", "rule", "title", "category", "scanner")
    list_filter = ("severity", "category")
    list_select_related = False
    ordering = ("-created_at", "-finding_id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Finding]:
        rows = super().get_queryset(request)
        heavy = ("evidence", "taxonomy", "location", "description", "remediation")
        is_list = request.resolver_match and request.resolver_match.url_name == (
            "scans_finding_changelist"
        )
        return rows.defer(*heavy) if is_list else rows


@admin.register(ScannerRun)
class ScannerRunAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "scanner", "status", "tool_version", "duration_ms")
    list_filter = ("status",)
    ordering = ("-run_id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ScannerRun]:
        return super().get_queryset(request).select_related(None)


@admin.register(Baseline)
class BaselineAdmin(DeletableAdmin):
    list_display = (
        "created_at",
        "name",
        "target",
        "scan_type",
        "status",
        "approved_by",
    )
    list_filter = ("status", "scan_type")
    actions = ("approve_baselines", "retire_baselines")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Baseline]:
        return super().get_queryset(request).defer("snapshot")

    @admin.action(description="Approve selected baselines", permissions=["delete"])
    def approve_baselines(self, request: HttpRequest, rows: QuerySet[Baseline]) -> None:
        each(request, rows, baselines.approve, "approved")

    @admin.action(description="Retire selected baselines", permissions=["delete"])
    def retire_baselines(self, request: HttpRequest, rows: QuerySet[Baseline]) -> None:
        each(request, rows, baselines.retire, "retired")

    def delete_queryset(
        self, request: HttpRequest, queryset: QuerySet[Baseline]
    ) -> None:
        for key in list(queryset.values_list("pk", flat=True)):
            baselines.delete(key, actor=actor_of(request), request=request)

    def delete_model(self, request: HttpRequest, obj: Baseline) -> None:
        baselines.delete(obj.pk, actor=actor_of(request), request=request)


@admin.register(Waiver)
class WaiverAdmin(DeletableAdmin):
    list_display = ("created_at", "fingerprint", "target", "created_by", "expires_at")
    search_fields = ("=fingerprint", "=target")
    search_help_text = "A whole fingerprint or a whole name of a target"

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Waiver]) -> None:
        for key in list(queryset.values_list("pk", flat=True)):
            waiving.delete(key, actor=actor_of(request), request=request)

    def delete_model(self, request: HttpRequest, obj: Waiver) -> None:
        waiving.delete(obj.pk, actor=actor_of(request), request=request)


@admin.register(Policy)
class PolicyAdmin(ReadOnlyAdmin):
    list_display = ("name", "version", "created_at", "created_by")


@admin.register(Target)
class TargetAdmin(ReadOnlyAdmin):
    list_display = ("name", "scan_type", "created_at")
    list_filter = ("scan_type",)
    ordering = ("-target_id",)


@admin.register(Upload)
class UploadAdmin(ReadOnlyAdmin):
    list_display = ("sha256", "size_bytes", "created_at", "last_used_at")
    ordering = ("-upload_id",)


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = ("name", "started_at", "seen_at", "sandbox")
