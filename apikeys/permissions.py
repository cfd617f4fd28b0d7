"""Who may do what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth.models import AbstractUser
from django.http import HttpRequest
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from apikeys.authentication import Unauthenticated
from apikeys.choices import Role
from apikeys.models import ApiKey

if TYPE_CHECKING:
    # DRF's views import the permission classes of the settings: this module.
    from rest_framework.views import APIView

__all__ = ["HasRole", "Role", "role_of", "role_of_user"]


def role_of(request: HttpRequest | Request) -> Role | None:
    """Return the caller's role, None for a caller without one. The only place."""
    key = getattr(request, "auth", None)
    if isinstance(key, ApiKey):
        return Role(key.role)
    return role_of_user(getattr(request, "user", None))


def role_of_user(user: object) -> Role | None:
    """Return the greatest role of a user's groups; a superuser is an admin."""
    if not isinstance(user, AbstractUser) or not user.is_active:
        return None
    if user.is_superuser:
        return Role.ADMIN
    groups = set(user.groups.values_list("name", flat=True))
    return next((role for role in reversed(Role) if role.value in groups), None)


class HasRole(BasePermission):
    """Ask for the role that the view names for the method; deny what it does not name.

    `role_for = {"GET": Role.VIEWER, "POST": Role.SCANNER}`; HEAD and OPTIONS are as
    GET, or as the method of a view that has no GET.
    """

    message = "The role of this key is too small for that."

    def has_permission(self, request: Request, view: APIView) -> bool:
        role = role_of(request)
        if role is None:
            raise Unauthenticated
        method = request.method or ""
        if not hasattr(view, method.lower()):
            return True  # DRF answers 405
        needed = _needed(getattr(view, "role_for", {}), method)
        return needed is not None and role.covers(needed)


def _needed(role_for: dict[str, str], method: str) -> Role | None:
    if method in {"HEAD", "OPTIONS"} and method not in role_for:
        method = "GET" if "GET" in role_for else next(iter(role_for), "")
    needed = role_for.get(method)
    return None if needed is None else Role(needed)
