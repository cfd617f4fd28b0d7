from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from scanners.contract import Category, Location, ReportedFinding, Rule, Severity
from scans.fingerprints import fingerprints

RULE = Rule("modelaudit:S201", Severity.CRITICAL, Category.DESERIALIZATION, "Opcode")
FINDING = ReportedFinding(
    RULE,
    "Found REDUCE",
    location=Location(path="a/model.pkl", byte_offset=42, line=3),
    element="REDUCE posix.system",
    evidence_key="posix.system",
)


def one(finding: ReportedFinding, *, is_single_file: bool = False) -> str:
    (only,) = fingerprints("modelaudit", [finding], is_single_file=is_single_file)
    return only


def test_the_recipe_is_stored_for_ever():
    # A change of this value orphans every waiver and baseline ever written.
    assert one(FINDING) == (
        "v1:bbafcc381f8c6a1a51172d954719cf74f9af2eff7f098329b3ba018904a2d22f"
    )


def test_words_positions_and_severity_do_not_enter():
    moved = replace(
        FINDING,
        title="Other words",
        description="more",
        rule=replace(RULE, severity=Severity.LOW),
        location=replace(FINDING.location, byte_offset=7, line=9),
    )
    assert one(moved) == one(FINDING)


def test_the_only_file_may_be_renamed():
    renamed = replace(FINDING, location=replace(FINDING.location, path="b.pkl"))
    assert one(renamed, is_single_file=True) == one(FINDING, is_single_file=True)
    assert one(renamed) != one(FINDING)


def test_a_file_that_is_called_like_a_member_is_another_place():
    member = Location(path="m.zip", member="x.pkl")
    for name in ("m.zip!x.pkl", "m.zip%21x.pkl"):
        file = replace(FINDING, location=Location(path=name))
        assert one(file) != one(replace(FINDING, location=member))


def test_equals_are_told_apart_by_position_whatever_their_order():
    second = replace(FINDING, location=replace(FINDING.location, byte_offset=99))
    forward = fingerprints("modelaudit", [FINDING, second], is_single_file=False)
    backward = fingerprints("modelaudit", [second, FINDING], is_single_file=False)
    assert forward == backward[::-1]
    assert len(set(forward)) == 2


def test_neighbouring_parts_cannot_run_together():
    left = replace(FINDING, element="1", evidence_key="23")
    right = replace(FINDING, element="12", evidence_key="3")
    assert one(left) != one(right)


def test_a_member_name_that_is_no_unicode_has_a_fingerprint():
    odd = replace(FINDING, location=replace(FINDING.location, member="\udcff.pkl"))
    assert one(odd).startswith("v1:")


@given(
    st.lists(
        st.builds(
            lambda path, element, key, offset: replace(
                FINDING,
                location=Location(path=path, byte_offset=offset),
                element=element,
                evidence_key=key,
            ),
            st.sampled_from("ab"),
            st.sampled_from("ab"),
            st.text(max_size=2),
            st.integers(0, 3),
        ),
        max_size=12,
    )
)
def test_two_findings_of_one_report_never_share_one(found):
    prints = fingerprints("s", found, is_single_file=False)
    assert len(set(prints)) == len(found)
