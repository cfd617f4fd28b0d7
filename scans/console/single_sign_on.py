"""Signing in by an OpenID Connect provider, where the operator has named one.

Whoever comes back is known by issuer and subject, never by a name: a provider whose
users choose their names must not give anybody the account of somebody else.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.django_client import OAuth
from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from joserfc.errors import JoseError

from apikeys import audit
from apikeys.audit import Actor
from apikeys.choices import ActorKind, Role
from scans.console import failures

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10
NEXT = "single_sign_on_next"
# Made with a key that the provider alone has, and not with one that we share.
ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}) | {
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
}
# No user that is made here may have it in the name (Django's validator).
MARK = "~"
BACKEND = "django.contrib.auth.backends.ModelBackend"


class NotLetIn(Exception):
    """Why somebody whom the provider knows is not signed in; for people."""


@require_safe
@never_cache
def depart(request: HttpRequest) -> HttpResponse:
    """Send somebody to the provider, with what proves that they come back."""
    try:
        client = _client()
        answer: HttpResponse = client.authorize_redirect(request, _return_url(request))
    except (AuthlibBaseError, requests.RequestException, ValueError) as error:
        return _unanswered(request, error)
    request.session[NEXT] = request.GET.get("next", "")
    return answer


@require_safe
@never_cache
def come_back(request: HttpRequest) -> HttpResponse:
    """Sign in whom the provider vouches for, with the role of their groups."""
    try:
        client = _client()
        token = client.authorize_access_token(request)
        user, role = _user(_claims(client, token))
    except (AuthlibBaseError, JoseError, requests.RequestException) as error:
        return _unanswered(request, error)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        return _unanswered(request, error)
    except NotLetIn as refusal:
        logger.warning("Single sign-on refused: %s", refusal)
        return _failure(request, str(refusal))
    place = request.session.pop(NEXT, "")
    login(request, user, BACKEND)
    _record("user.sign_in", user, role, request)
    is_ours = url_has_allowed_host_and_scheme(
        place, {request.get_host()}, require_https=request.is_secure()
    )
    return redirect(place if is_ours else resolve_url(settings.LOGIN_REDIRECT_URL))


def _client() -> Any:
    """Return the client of the provider; raise Http404 where there is none."""
    if not settings.OIDC_ISSUER:
        raise Http404
    client = _made(
        settings.OIDC_ISSUER,
        settings.OIDC_CLIENT_ID,
        settings.OIDC_CLIENT_SECRET,
        " ".join(settings.OIDC_SCOPES),
    )
    metadata = client.load_server_metadata()
    if metadata.get("issuer") != settings.OIDC_ISSUER:
        raise ValueError("the provider's metadata names another issuer")
    named = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
    usable = sorted(ALGORITHMS & set(named))
    if not usable:
        raise ValueError("the provider signs tokens in no way that we believe")
    metadata["id_token_signing_alg_values_supported"] = usable
    return client


@lru_cache(maxsize=1)
def _made(issuer: str, client_id: str, secret: str, scope: str) -> Any:
    # Kept, since with it are the provider's metadata and keys.
    return OAuth().register(
        "single-sign-on",
        client_id=client_id,
        client_secret=secret,
        server_metadata_url=f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={
            "scope": scope,
            "code_challenge_method": "S256",
            "default_timeout": TIMEOUT_SECONDS,
        },
    )


def _return_url(request: HttpRequest) -> str:
    path = reverse("console:single-sign-on-return")
    if settings.PUBLIC_URL:
        return f"{settings.PUBLIC_URL}{path}"
    return request.build_absolute_uri(path)


def _claims(client: Any, token: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the checked id token says, and with no groups in it the user info."""
    claims = dict(token["userinfo"])
    name = settings.OIDC_GROUPS_CLAIM
    if name not in claims and client.load_server_metadata().get("userinfo_endpoint"):
        more = client.userinfo(token=token)
        # OpenID Connect Core 5.3.2: else it may be somebody else's.
        if more["sub"] != claims["sub"]:
            raise ValueError("the user info is of another subject")
        claims = {**more, **claims}
    return claims


def _user(claims: Mapping[str, Any]) -> tuple[User, Role]:
    """Return the account of this subject, made at the first time, with its role now."""
    role = role_of_groups(claims.get(settings.OIDC_GROUPS_CLAIM))
    if role is None:
        raise NotLetIn(
            "You are known there, but none of your groups has a role here. "
            "Ask an administrator."
        )
    user = _found(claims)
    if not user.is_active:
        raise NotLetIn("Your account here is closed. Ask an administrator.")
    with transaction.atomic():
        groups = Group.objects.filter(name__in=Role.values)
        user.groups.remove(*groups)
        user.groups.add(Group.objects.get_or_create(name=role.value)[0])
    return user, role


def role_of_groups(groups: object) -> Role | None:
    """Return the greatest role that one of the groups has; None for none."""
    names = {groups} if isinstance(groups, str) else set()
    if isinstance(groups, list):
        names = {name for name in groups if isinstance(name, str)}
    held = [role for role in Role if names & set(settings.OIDC_GROUPS[role])]
    return held[-1] if held else None


def _found(claims: Mapping[str, Any]) -> User:
    subject = claims["sub"]
    if not isinstance(subject, str) or not subject:
        raise ValueError("the id token names no subject")
    ending = MARK + _digest(settings.OIDC_ISSUER, subject)
    known = User.objects.filter(username__endswith=ending).first()
    if known is not None:
        return known
    said = claims.get("preferred_username") or claims.get("email") or "user"
    name = re.sub(r"[^\w.@+-]", "", str(said))[:100] or "user"
    user = User(username=f"{name}{ending}")
    user.set_unusable_password()
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError:
        # Twice at the same time.
        return User.objects.get(username=user.username)
    return user


def _digest(issuer: str, subject: str) -> str:
    text = f"{len(issuer)}:{issuer}{subject}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _unanswered(request: HttpRequest, error: Exception) -> HttpResponse:
    # What went wrong is for the operator; an answer of a provider may hold anything.
    logger.warning("Single sign-on failed: %s: %.300s", type(error).__name__, error)
    said = "The sign-on service did not vouch for you, or did not answer. Try again."
    return _failure(request, said)


def _failure(request: HttpRequest, detail: str) -> HttpResponse:
    return failures.page(request, 403, title="Not signed in", detail=detail)


def _record(action: str, user: User, role: Role, request: HttpRequest) -> None:
    audit.record(
        action,
        actor=Actor(ActorKind.USER, user.get_username()),
        object_type="user",
        object_id=str(user.pk),
        detail={"by": "single sign-on", "role": role.value},
        request=request,
    )
