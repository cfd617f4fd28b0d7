from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanners.contract import Category, Severity
from scans.choices import Verdict
from scans.gate import (
    DEFAULT_DOCUMENT,
    REASONS_SHOWN,
    Evidence,
    JudgedFinding,
    PolicyError,
    PolicyRules,
    decide,
)

DEFAULT = PolicyRules.from_document({})


def finding(severity=Severity.HIGH, category=Category.OTHER, **fields) -> JudgedFinding:
    return JudgedFinding("s:R1", severity, category, "Bad import", **fields)


def verdict(rules: PolicyRules, *findings: JudgedFinding, gaps=()) -> Verdict:
    evidence = Evidence(findings=findings, gaps=gaps, completed={"modelaudit"})
    return decide(rules, evidence).verdict


@pytest.mark.parametrize(
    ("severity", "expected"),
    [
        (Severity.INFO, Verdict.PASS),
        (Severity.MEDIUM, Verdict.PASS),
        (Severity.HIGH, Verdict.FAIL),
        (Severity.CRITICAL, Verdict.FAIL),
    ],
)
def test_it_fails_from_the_threshold_up(severity, expected):
    assert verdict(DEFAULT, finding(severity)) == expected


def test_a_blocked_category_fails_at_any_severity():
    assert verdict(DEFAULT, finding(Severity.INFO, Category.TOOL_POISONING)) == "fail"


def test_an_allowed_rule_never_fails():
    rules = PolicyRules.from_document({"allow_rules": ["s:R1"]})
    assert verdict(rules, finding(Severity.CRITICAL)) == Verdict.PASS


def test_a_waived_finding_does_not_fail():
    assert verdict(DEFAULT, finding(is_waived=True)) == Verdict.PASS


def test_a_gap_is_inconclusive_and_never_a_pass():
    decision = decide(
        DEFAULT, Evidence(gaps=["x.py was not examined"], completed={"m"})
    )
    assert decision.verdict == Verdict.INCONCLUSIVE
    assert decision.reasons == ("x.py was not examined",)


def test_a_breach_outweighs_a_gap_and_both_are_said():
    evidence = Evidence(findings=[finding()], gaps=["a gap"], completed={"m"})
    decision = decide(DEFAULT, evidence)
    assert decision.verdict == Verdict.FAIL
    assert decision.reasons == ("Bad import (s:R1, high)", "a gap")


def test_nobody_looking_is_inconclusive_even_under_partial_coverage():
    rules = PolicyRules.from_document({"require_coverage": "partial"})
    assert decide(rules, Evidence()).verdict == Verdict.INCONCLUSIVE


def test_partial_coverage_lets_a_gap_pass():
    rules = PolicyRules.from_document({"require_coverage": "partial"})
    assert verdict(rules, gaps=["a gap"]) == Verdict.PASS


def test_a_required_scanner_that_did_not_complete_is_inconclusive():
    rules = PolicyRules.from_document(
        {"require_scanners": ["cisco-scanner"], "require_coverage": "partial"}
    )
    assert verdict(rules) == Verdict.INCONCLUSIVE


def test_only_new_spares_what_the_baseline_has():
    rules = PolicyRules.from_document({"only_new": True})
    assert verdict(rules, finding(is_known=True)) == Verdict.PASS
    assert verdict(rules, finding(is_known=False)) == Verdict.FAIL


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("added", "fail"), ("removed", "pass"), ("renamed", "fail"), ("changed", "fail")],
)
def test_drift_is_judged_by_its_kind_and_not_by_threshold(kind, expected):
    drift = finding(Severity.CRITICAL, Category.BASELINE_DRIFT, drift=(kind,))
    assert verdict(DEFAULT, drift) == expected


def test_many_reasons_are_shortened_with_their_number():
    findings = [
        JudgedFinding(f"s:R{n}", Severity.HIGH, Category.OTHER, "Bad")
        for n in range(50)
    ]
    reasons = decide(DEFAULT, Evidence(findings=findings, completed={"m"})).reasons
    assert len(reasons) == 21
    assert reasons[-1] == "and 30 more findings"


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"fail_onn": 1}, "fail_onn"),
        ({"severity_threshold": "grave"}, "grave"),
        ({"severity_threshold": 3}, "severity_threshold"),
        ({"block_categories": ["wickedness"]}, "wickedness"),
        ({"block_categories": "code_execution"}, "block_categories"),
        ({"allow_rules": [1]}, "allow_rules"),
        ({"require_coverage": "some"}, "require_coverage"),
        ({"only_new": 1}, "only_new"),
        ({"drift": {"moved": "fail"}}, "moved"),
        ({"drift": {"added": "panic"}}, "drift.added"),
        ({"drift": []}, "drift"),
        ({"require_sbom": None}, "require_sbom"),
    ],
)
def test_it_names_what_is_wrong_in_a_policy(document, named):
    with pytest.raises(PolicyError, match=named):
        PolicyRules.from_document(document)


def test_absent_keys_take_the_default_values():
    assert PolicyRules.from_document({}) == PolicyRules.from_document(DEFAULT_DOCUMENT)
    partly = PolicyRules.from_document({"drift": {"added": "warn"}})
    assert partly.drift["removed"] == "warn"
    assert partly.drift["changed"] == "fail"


findings = st.builds(
    finding,
    st.sampled_from(Severity),
    st.sampled_from([c for c in Category if c != Category.BASELINE_DRIFT]),
    is_waived=st.booleans(),
    is_known=st.booleans(),
)


@given(st.lists(findings, max_size=6), st.lists(st.text(min_size=1), max_size=3))
def test_pass_means_no_breach_and_no_gap(found, gaps):
    answer = verdict(DEFAULT, *found, gaps=gaps)
    breaks = [
        f
        for f in found
        if not f.is_waived
        and (f.severity >= Severity.HIGH or f.category in DEFAULT.block_categories)
    ]
    expected = "fail" if breaks else "inconclusive" if gaps else "pass"
    assert answer == expected


@given(st.lists(findings, min_size=2, max_size=5))
def test_the_order_of_findings_never_matters(found):
    answers = {verdict(DEFAULT, *order) for order in itertools.permutations(found)}
    assert len(answers) == 1


@given(st.integers(0, 45), st.booleans())
def test_gaps_that_were_only_counted_are_judged_and_told_as_if_written(count, required):
    document = {"require_scanners": ["absent"]} if required else {}
    rules = PolicyRules.from_document(document)
    gaps = [f"{number} was not examined" for number in range(count)]
    cut = {"gaps": gaps[:REASONS_SHOWN], "more_gaps": max(0, count - REASONS_SHOWN)}
    whole = decide(rules, Evidence(gaps=gaps, completed={"m"}))
    assert decide(rules, Evidence(**cut, completed={"m"})) == whole


def test_gaps_that_a_policy_allows_are_not_counted():
    rules = PolicyRules.from_document({"require_coverage": "partial"})
    evidence = Evidence(gaps=["x"] * REASONS_SHOWN, more_gaps=9, completed={"m"})
    assert decide(rules, evidence).reasons == ()
