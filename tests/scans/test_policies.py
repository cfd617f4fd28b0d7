"""Policies: versions that never change, and errors that name the key."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from apikeys.audit import COMMAND_LINE as ME
from apikeys.models import AuditEvent
from scans import policies
from scans.choices import Conflict, NotFound, Outdated, Refused
from scans.gate import DEFAULT_DOCUMENT, PolicyRules, with_defaults
from scans.models import Policy

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]
STRICT = {"severity_threshold": "low"}


def test_a_new_version_leaves_the_old_one_as_it_was():
    first = policies.create("strict", STRICT, actor=ME)
    second = policies.revise("strict", {"only_new": True}, actor=ME)
    assert (first.version, second.version) == (1, 2)
    assert policies.found("strict").document == {"only_new": True}
    assert policies.found("strict", 1).document == STRICT
    assert [str(p) for p in Policy.objects.current()] == ["strict v2"]
    events = AuditEvent.objects.filter(object_type="policy").order_by("created_at")
    assert [(event.action, event.detail) for event in events] == [
        ("policy.create", {"name": "strict", "version": 1}),
        ("policy.revise", {"name": "strict", "version": 2}),
    ]
    for name, version in (("strict", 3), ("absent", None)):
        with pytest.raises(NotFound):
            policies.found(name, version)
    with pytest.raises(NotFound):
        policies.revise("absent", {}, actor=ME)
    with pytest.raises(Conflict):
        policies.create("strict", {}, actor=ME)


def test_the_built_in_policy_is_there_and_can_have_versions():
    with pytest.raises(Conflict):
        policies.create("default", STRICT, actor=ME)
    assert policies.found("default").document == DEFAULT_DOCUMENT
    assert policies.revise("default", STRICT, actor=ME).version == 2
    assert policies.found("default").document == STRICT


def test_whoever_saw_an_older_version_writes_nothing():
    policies.create("p", {}, actor=ME)
    policies.revise("p", STRICT, expected=1, actor=ME)
    with pytest.raises(Outdated, match="Version 2"):
        policies.revise("p", {}, expected=1, actor=ME)
    assert Policy.objects.filter(name="p").count() == 2


@pytest.mark.django_db(transaction=True)
def test_versions_made_at_the_same_moment_follow_each_other():
    policies.create("p", {}, actor=ME)
    failures = []

    def revise(number: int) -> None:
        expected = 1 if number < 4 else None
        try:
            policies.revise("p", STRICT, expected=expected, actor=ME)
        except Outdated as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=revise, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = Policy.objects.filter(name="p").values_list("version", flat=True)
    # Of those who had seen version 1 at most one was in time.
    assert len(failures) in {3, 4}
    assert sorted(versions) == list(range(1, 10 - len(failures)))


@pytest.mark.parametrize(
    "name", ["", "-a", ".a", "a b", "a/b", "a\n", "é", "x" * 101, "a\x00"]
)
def test_a_name_is_one_that_a_path_can_hold(name):
    with pytest.raises(Refused) as refused:
        policies.create(name, {}, actor=ME)
    assert refused.value.field == "name"


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ([], "document"),
        (None, "document"),
        ({"treshold": "high"}, "document/treshold"),
        ({"a/b~c.d": 1}, "document/a~1b~0c.d"),
        ({"severity_threshold": "h\u0131gh"}, "document/severity_threshold"),
        ({"severity_threshold": "HIGH"}, "document/severity_threshold"),
        ({"block_categories": ["evil"]}, "document/block_categories"),
        ({"allow_rules": ["S302"]}, "document/allow_rules"),
        ({"allow_rules": ["modelaudit:S3\x0002"]}, "document/allow_rules"),
        ({"allow_rules": ["modelaudit:S3\x8502"]}, "document/allow_rules"),
        ({"allow_rules": "modelaudit:S302"}, "document/allow_rules"),
        ({"require_scanners": ["modelaudits"]}, "document/require_scanners"),
        ({"require_coverage": None}, "document/require_coverage"),
        ({"require_coverage": ["complete"]}, "document/require_coverage"),
        ({"only_new": "false"}, "document/only_new"),
        ({"drift": {"moved": "fail"}}, "document/drift/moved"),
        ({"drift": {"added": "panic"}}, "document/drift/added"),
        ({"drift": None}, "document/drift"),
        ({"require_sbom": 1}, "document/require_sbom"),
        ({"allow_rules": [f"m:{'x' * 140}{n}" for n in range(500)]}, "document"),
    ],
)
def test_what_is_no_policy_is_refused_by_its_key(document, field):
    with pytest.raises(Refused) as refused:
        policies.create("p", document, actor=ME)
    assert refused.value.field == field
    assert len(refused.value.message) < 500
    assert not Policy.objects.exists()


@pytest.mark.parametrize("document", [{}, STRICT, {"drift": {"added": "warn"}}])
def test_absent_keys_are_shown_with_what_they_take(document):
    whole = with_defaults(document)
    assert whole.keys() == DEFAULT_DOCUMENT.keys()
    assert PolicyRules.from_document(whole) == PolicyRules.from_document(document)
