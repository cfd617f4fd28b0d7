"""Who is calling: `X-API-Key: <key>` or `Authorization: Bearer <key>`."""

from __future__ import annotations

import logging

from django.contrib.auth.models import AbstractBaseUser
from django.db import DatabaseError
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request

from apikeys import failures
from apikeys.addresses import client_address
from apikeys.audit import Actor
from apikeys.choices import ActorKind
from apikeys.models import ApiKey

CHALLENGE = 'Bearer realm="sentrascan"'

logger = logging.getLogger(__name__)


class Unauthenticated(AuthenticationFailed):
    """401, word for word the same whatever was wrong with the key, or without one."""

    default_detail = "A valid API key is required, in X-API-Key or as a bearer token."
    default_code = "not_authenticated"


class ApiKeyAuthentication(BaseAuthentication):
    """Nothing is cached: a key revoked by raw SQL is refused at the next request."""

    def authenticate(self, request: Request) -> tuple[None, ApiKey] | None:
        """Return the key as `request.auth`; None when the request presents none.

        Raises Unauthenticated for any key that is not good, Throttled once an
        address has presented too many of them.
        """
        plain = presented_key(request)
        if plain is None:
            return None
        address = client_address(request)
        key = ApiKey.objects.authenticate(plain)
        if key is None:
            wait = failures.retry_after(address)
            if wait is not None:
                raise Throttled(wait)
            raise Unauthenticated
        _mark_used(key, address)
        return None, key

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


def presented_key(request: HttpRequest | Request) -> str | None:
    """Return what was sent as a key, however malformed; None when nothing was."""
    plain = request.META.get("HTTP_X_API_KEY")
    if plain is not None:
        return str(plain).strip()
    scheme, _, token = str(request.META.get("HTTP_AUTHORIZATION", "")).partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def actor_of(request: HttpRequest | Request) -> Actor:
    """Return who acts; raise Unauthenticated for a request of nobody."""
    key = getattr(request, "auth", None)
    if isinstance(key, ApiKey):
        return Actor(ActorKind.KEY, key.name)
    user = getattr(request, "user", None)
    if isinstance(user, AbstractBaseUser) and user.is_authenticated:
        return Actor(ActorKind.USER, user.get_username())
    raise Unauthenticated


def _mark_used(key: ApiKey, address: str) -> None:
    try:
        ApiKey.objects.mark_used(key, address)
    except DatabaseError as error:
        # A locked or read-only database may still be read: let the request try.
        logger.warning("last_used_at of key %s not written: %s", key.pk, error)
