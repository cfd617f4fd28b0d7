"""Keys and audit events in the admin: looked at, revoked, never edited."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

from apikeys import keyring
from apikeys.authentication import actor_of
from apikeys.models import ApiKey, AuditEvent
from apikeys.models.api_keys import ApiKeyQuerySet
from apikeys.permissions import Role, role_of

COUNTED = 10_000


class CappedPaginator(Paginator):  # type: ignore[type-arg]  # generic in its stubs alone
    """Counts to 10,000: at a million rows an exact count costs half a second."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        if isinstance(rows, QuerySet):
            return rows.order_by()[:COUNTED].count()
        return len(rows)


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in its stubs alone
    """Rows that only the machine writes, for admins of ours and superusers."""

    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    actions_selection_counter = False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return role_of(request) is Role.ADMIN

    def has_view_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return role_of(request) is Role.ADMIN

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return False

    def has_delete_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return False


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    list_display = [
        "name",
        "role",
        "state",
        "created_at",
        "last_used_at",
        "last_used_ip",
        "expires_at",
        "grace_until",
    ]
    list_filter = ["role", "is_revoked"]
    search_fields = ["name"]
    exclude = ["digest"]
    actions = ["revoke_selected"]

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return role_of(request) is Role.ADMIN

    @admin.action(description="Revoke selected keys", permissions=["revoke"])
    def revoke_selected(self, request: HttpRequest, queryset: ApiKeyQuerySet) -> None:
        count = keyring.revoke_each(queryset, actor=actor_of(request), request=request)
        self.message_user(request, f"Revoked {count} key(s).")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        hint = "Make a key: sentrascan auth create --name N --role R"
        return super().changelist_view(
            request, {"subtitle": hint, **(extra_context or {})}
        )


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = [
        "created_at",
        "actor",
        "actor_kind",
        "action",
        "object_type",
        "object_id",
        "ip",
    ]
    list_filter = ["actor_kind"]
    # Exact, so that the indexes answer.
    search_fields = ["actor__exact", "action__exact"]
    search_help_text = "An actor or an action, whole, such as api_key.revoke"
