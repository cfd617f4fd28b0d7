"""What a door may ask for a policy: make one, give it a new version."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from django.db import IntegrityError, transaction
from django.http import HttpRequest

from apikeys import audit
from apikeys.audit import Actor
from scanners.registry import SCANNERS
from scans.choices import Conflict, NotFound, Outdated, Refused
from scans.gate import PolicyError, PolicyRules
from scans.models import Policy
from scans.models.policies import BUILT_IN

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
RULE = re.compile(r"[a-z0-9][a-z0-9-]{0,49}:[^\s]{1,150}")
MAX_BYTES = 64 << 10


def create(
    name: str,
    document: Mapping[str, Any],
    *,
    actor: Actor,
    request: HttpRequest | None = None,
) -> Policy:
    """Make version 1 of a policy; raise `Refused`, or `Conflict` for a taken name."""
    if not NAME.fullmatch(name):
        raise Refused("name", "letters, digits, dots, dashes: 1 to 100, no dash first")
    check(document)
    if name == BUILT_IN or Policy.objects.filter(name=name).exists():
        raise Conflict(f"There is a policy {name!r} already: give it a new version")
    try:
        with transaction.atomic():
            return _insert(name, 1, document, actor, request)
    except IntegrityError as error:
        raise Conflict(f"There is a policy {name!r} already") from error


def revise(
    name: str,
    document: Mapping[str, Any],
    *,
    expected: int | None = None,
    actor: Actor,
    request: HttpRequest | None = None,
) -> Policy:
    """Give a policy its next version; the one before stays what it was.

    `expected` is the version that the author has seen: raises `Outdated` when there is
    a newer one. Also `NotFound` and `Refused`.
    """
    check(document)
    with transaction.atomic():
        newest = Policy.objects.locked(name)
        if newest is None:
            raise NotFound(f"There is no policy {name!r}")
        if expected is not None and newest.version != expected:
            raise Outdated(
                f"Version {newest.version} of {name!r} was made meanwhile: look at it"
            )
        return _insert(name, newest.version + 1, document, actor, request)


def found(name: str, version: int | None = None) -> Policy:
    """Return one version, by default the newest; raise `NotFound`."""
    newest = Policy.objects.newest(name)
    if newest is None:
        raise NotFound(f"There is no policy {name!r}")
    if version is None or version == newest.version:
        return newest
    policy = Policy.objects.filter(name=name, version=version).first()
    if policy is None:
        raise NotFound(f"There is no version {version} of the policy {name!r}")
    return policy


def rules_of(document: object) -> PolicyRules:
    """Return a document's rules; raise `Refused` naming the key that is wrong."""
    check(document)
    return PolicyRules.from_document(cast(Mapping[str, Any], document))


def check(document: object) -> None:
    """Raise `Refused` naming the key of a document that is no policy."""
    if not isinstance(document, Mapping):
        raise Refused("document", "a policy is an object")
    try:
        rules = PolicyRules.from_document(document)
    except PolicyError as error:
        raise _refused(str(error), *error.path) from error
    if unknown := sorted(rules.require_scanners - SCANNERS.keys()):
        known = ", ".join(sorted(SCANNERS))
        why = f"require_scanners: unknown scanner {unknown[0]!r}; there are {known}"
        raise _refused(why, "require_scanners")
    for rule in sorted(rules.allow_rules):
        if not RULE.fullmatch(rule) or not rule.isprintable():
            why = f"allow_rules: {rule[:80]!r} is no rule such as modelaudit:S302"
            raise _refused(why, "allow_rules")
    if len(json.dumps(document)) > MAX_BYTES:
        raise Refused("document", f"a policy has at most {MAX_BYTES} bytes")


def _refused(message: str, *path: str) -> Refused:
    # A key of the client's own may hold what a JSON Pointer writes otherwise.
    steps = [step.replace("~", "~0").replace("/", "~1") for step in path]
    return Refused("/".join(("document", *steps)), message)


def _insert(
    name: str,
    version: int,
    document: Mapping[str, Any],
    actor: Actor,
    request: HttpRequest | None,
) -> Policy:
    policy = Policy.objects.create(
        name=name, version=version, document=dict(document), created_by=actor.name
    )
    audit.record(
        "policy.create" if version == 1 else "policy.revise",
        actor=actor,
        object_type="policy",
        object_id=policy.pk,
        detail={"name": name, "version": version},
        request=request,
    )
    return policy
