"""What-if: the same as judging again, for every scan that is stored."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from scanners.contract import Category, Severity
from scans import judging, what_if
from scans.gate import PolicyRules
from scans.models import Baseline, Finding, Policy, Scan, Waiver
from tests.scans.api_samples import make_finding, make_run, make_scan, pointers

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]
URL = "/api/v1/policies/default/what-if"
PRINTS = [f"v1:{number:064x}" for number in range(4)]
SCANNERS = ["modelaudit", "sentrascan-files"]

policies = st.fixed_dictionaries(
    {},
    optional={
        "severity_threshold": st.sampled_from([s.name.lower() for s in Severity]),
        "block_categories": st.sampled_from([[], ["other"], ["code_execution"]]),
        "allow_rules": st.sampled_from([[], ["modelaudit:S1"], ["modelaudit:S2", ""]]),
        "require_coverage": st.sampled_from(["complete", "partial"]),
        "require_scanners": st.sampled_from([[], SCANNERS]),
        "only_new": st.booleans(),
        "drift": st.dictionaries(
            st.sampled_from(["added", "removed", "renamed", "changed"]),
            st.sampled_from(["fail", "warn", "ignore"]),
        ),
        "require_sbom": st.booleans(),
    },
)
found = st.lists(
    st.tuples(
        st.sampled_from(Severity),
        st.sampled_from(
            [Category.OTHER, Category.CODE_EXECUTION, Category.BASELINE_DRIFT]
        ),
        st.sampled_from(["modelaudit:S1", "modelaudit:S2"]),
        st.sampled_from([[], ["added"], ["removed"], ["renamed", "changed"]]),
    ),
    max_size=len(PRINTS),
)
scans = st.fixed_dictionaries(
    {
        "target": st.sampled_from(["a", "b"]),
        "found": found,
        "gaps": st.integers(0, 25),
        "completed": st.lists(st.sampled_from(SCANNERS), unique=True),
        "has_sbom": st.booleans(),
        # None: no baseline. Else the fingerprints that it approves.
        "approved": st.none() | st.sets(st.sampled_from(PRINTS)),
        "is_failed": st.booleans(),
    }
)
waivers = st.lists(
    st.tuples(
        st.sampled_from(PRINTS), st.sampled_from(["", "a"]), st.sampled_from([-1, 1])
    ),
    max_size=3,
)


def stored(number: int, kind: dict[str, Any], policy: Policy) -> tuple[Scan, Any]:
    """Write a scan as the pipeline does; return it, and what it was judged by."""
    status = "failed" if kind["is_failed"] else "completed"
    scan = make_scan(
        minutes=number, target=kind["target"], scan_status=status, policy=policy
    )
    if kind["is_failed"]:
        return scan, None
    approved = kind["approved"]
    if approved is not None:
        scan.baseline = Baseline.objects.create(
            scan_type="model", target=scan.target, name="b", status="retired"
        )
    rows = [
        make_finding(
            scan,
            at,
            severity=severity,
            category=category,
            rule=rule,
            evidence={"kinds": kinds},
            is_new=PRINTS[at] not in (approved or ()),
        )
        for at, (severity, category, rule, kinds) in enumerate(kind["found"])
    ]
    for name in kind["completed"]:
        make_run(scan, name)
    make_run(scan, "broken", status="failed")
    facts = judging.Facts(
        rows,
        [f"{gap} was not examined" for gap in range(kind["gaps"])],
        completed=set(kind["completed"]),
        approved=approved,
        has_sbom=kind["has_sbom"],
    )
    judgement = judging.judge(scan, facts)
    scan.verdict = judgement.decision.verdict
    scan.save(update_fields=["verdict", "baseline"])
    type(scan.detail).objects.filter(pk=scan.pk).update(**judgement.detail(facts))
    return scan, facts


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=60,
    deadline=None,
)
@given(st.lists(scans, max_size=6), policies, policies, waivers)
def test_it_says_what_judging_again_says(db, kinds, before, after, accepted):
    for model in (Scan, Policy, Waiver, Baseline):
        model.objects.all().delete()
    old = Policy.objects.create(name="old", document=before)
    new = Policy.objects.create(name="new", document=after)
    made = [stored(number, kind, old) for number, kind in enumerate(kinds)]
    for fingerprint, target, hours in accepted:
        Waiver.objects.create(
            fingerprint=fingerprint,
            target=target,
            reason="r",
            expires_at=timezone.now() + timedelta(hours=hours),
        )
    expected = []
    for scan, facts in reversed(made):
        scan.policy = new
        verdict = "inconclusive"
        if facts is not None:
            verdict = judging.judge(scan, facts).decision.verdict.value
        expected.append((scan.pk, str(scan.verdict), verdict))
    newest = Scan.objects.order_by("-created_at", "-scan_id")
    rows = what_if.rejudge(
        PolicyRules.from_document(after), newest.values(*what_if.COLUMNS)
    )
    assert [(row.scan_id, row.before, row.after) for row in rows] == expected


def bad_scan(minutes: int, **more: Any) -> Scan:
    scan = make_scan(minutes=minutes, verdict="fail", **more)
    make_finding(scan, 1, severity=Severity.HIGH, category=Category.OTHER)
    make_run(scan)
    kept = {"gaps": [], "more_gaps": 0, "has_sbom": False}
    type(scan.detail).objects.filter(pk=scan.pk).update(evidence=kept)
    return scan


LENIENT = {"severity_threshold": "critical"}


def test_it_answers_changes_and_the_targets_that_would_flip(
    api: APIClient, viewer_api: APIClient
) -> None:
    first, second = bad_scan(1, target="m"), bad_scan(2, target="m")
    make_scan(minutes=3, target="n")  # of an older release: nothing was kept
    before = list(Scan.objects.order_by("pk").values())
    answer = viewer_api.post(URL, {"document": LENIENT}, format="json")
    assert answer.status_code == 200, answer.content
    change = {"target": "m", "before": "fail", "after": "pass"}
    assert answer.json() == {
        "summary": {
            "scans": 3,
            "changed": 2,
            "not_judged": 1,
            "is_complete": True,
            "flips": [{"before": "fail", "after": "pass", "scans": 2}],
            "targets": [{"scan_type": "model", **change}],
        },
        "changes": [
            {"scan_id": str(second.pk), **change},
            {"scan_id": str(first.pk), **change},
        ],
    }
    assert list(Scan.objects.order_by("pk").values()) == before
    Policy.objects.create(name="lenient", document=LENIENT)
    stored_policy = URL.replace("default", "lenient")
    assert viewer_api.post(stored_policy, {}, format="json").json() == answer.json()
    assert viewer_api.post(URL, {}, format="json").json()["changes"] == []
    after = {"document": LENIENT, "created_after": "2026-01-01T00:01:30Z"}
    told = viewer_api.post(URL, after, format="json").json()["changes"]
    assert [row["scan_id"] for row in told] == [str(second.pk)]
    mcp = {"document": LENIENT, "scan_type": "mcp"}
    assert viewer_api.post(URL, mcp, format="json").json()["summary"]["scans"] == 0


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"document": {"x": 1}}, "/document/x"),
        ({"document": []}, "/document"),
        ({"scan_type": "picture"}, "/scan_type"),
        ({"created_after": "2026-01-01"}, "/created_after"),
        ({"policy": "default"}, "/policy"),
    ],
)
def test_a_bad_question_is_named(api: APIClient, body: Any, named: str) -> None:
    answer = api.post(URL, body, format="json")
    assert (answer.status_code, pointers(answer)) == (400, {named})
    assert api.post(URL.replace("default", "no"), {}).status_code == 404


def test_many_scans_are_read_in_chunks_and_the_newest_come_first(monkeypatch) -> None:
    monkeypatch.setattr(what_if, "CHUNK", 3)
    for number in range(8):
        bad_scan(number // 2, target=f"m{number}")  # pairs of one moment
    rules = PolicyRules.from_document(LENIENT)
    with CaptureQueriesContext(connection) as said:
        outcome = what_if.ask(rules)
    assert len(said) == 1 + 3 * 2
    drifted = Finding.objects.filter(scan=outcome.changes[0].scan_id)
    drifted.update(category=Category.BASELINE_DRIFT, evidence={"kinds": ["added"]})
    with CaptureQueriesContext(connection) as said:
        assert len(what_if.ask(rules).changes) == 8 - 1
    assert len(said) == 1 + 3 * 2 + 1
    drifted.update(category=Category.OTHER)
    order = Scan.objects.order_by("-created_at", "-scan_id").values_list("pk")
    assert [(one.scan_id,) for one in outcome.changes] == list(order)
    few = what_if.ask(rules, most=5)
    assert (few.scans, few.is_complete, len(few.changes)) == (5, False, 5)
    assert what_if.ask(rules, most=8).is_complete is True
    assert Finding.objects.count() == 8


def test_a_waiver_of_one_target_counts_there_and_nowhere_else() -> None:
    ours, _ = bad_scan(1, target="m"), bad_scan(2, target="n")
    later = timezone.now() + timedelta(hours=1)
    risk = {"fingerprint": PRINTS[1], "reason": "r", "expires_at": later}
    Waiver.objects.create(**risk, target="m")
    outcome = what_if.ask(PolicyRules.from_document({}))
    assert [(one.scan_id, one.after) for one in outcome.changes] == [(ours.pk, "pass")]


@pytest.mark.parametrize(
    ("category", "document"),
    [
        (Category.OTHER, {}),
        (Category.BASELINE_DRIFT, {"drift": {"added": "fail"}}),
    ],
)
def test_a_rule_that_is_allowed_fails_no_scan_and_every_other_does(
    category: Category, document: dict[str, Any]
) -> None:
    ours = bad_scan(1)
    Finding.objects.update(category=category, evidence={"kinds": ["added"]})
    rule = Finding.objects.get().rule
    for allowed, told in ([rule], [(ours.pk, "pass")]), (["", "another:S1"], []):
        rules = PolicyRules.from_document(document | {"allow_rules": allowed})
        changes = what_if.ask(rules).changes
        assert [(one.scan_id, one.after) for one in changes] == told


def test_what_was_found_before_is_not_approved_by_that() -> None:
    bad_scan(1)
    Finding.objects.update(is_new=False)
    outcome = what_if.ask(PolicyRules.from_document({"only_new": True}))
    assert (outcome.scans, outcome.changes) == (1, [])
