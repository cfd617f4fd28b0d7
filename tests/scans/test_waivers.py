"""Which waiver covers a finding: the rule, and the database's answer to the same."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scans.exports.shapes import FINDINGS
from scans.models import Waiver
from scans.waivers import AcceptedRisk, in_force
from tests.scans.api_samples import make_finding, make_scan

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
PRINTS = [f"v1:{number:064x}" for number in range(3)]


def risk(target: str = "", hours: float = 1, print_: str = PRINTS[0]) -> AcceptedRisk:
    expires_at = NOW + hours * HOUR
    return AcceptedRisk(uuid.uuid4(), print_, target, "why", "ada", expires_at)


def test_a_waiver_covers_its_target_and_no_other():
    ours = risk("ours")
    assert in_force([ours], target="ours", at=NOW) == {PRINTS[0]: ours}
    assert in_force([ours], target="Ours", at=NOW) == {}
    assert in_force([ours], target="", at=NOW) == {}


def test_a_waiver_without_a_target_covers_all():
    everywhere = risk("")
    assert in_force([everywhere], target="any", at=NOW) == {PRINTS[0]: everywhere}


def test_a_waiver_ends_with_its_moment():
    ending = risk(hours=1)
    last = NOW + HOUR - timedelta(microseconds=1)
    assert in_force([ending], target="t", at=last)
    assert not in_force([ending], target="t", at=NOW + HOUR)


def test_of_several_the_widest_is_named_and_then_the_longest():
    long, short, wide = risk("t", 9), risk("t", 1), risk("", 2)
    assert in_force([short, long, wide], target="t", at=NOW)[PRINTS[0]] is wide
    assert in_force([short, long], target="t", at=NOW)[PRINTS[0]] is long
    # The one that is over says nothing of the other.
    assert in_force([risk("", -1), short], target="t", at=NOW)[PRINTS[0]] is short


risks = st.lists(
    st.builds(
        risk,
        st.sampled_from(["", "a", "b"]),
        st.sampled_from([-1, 1, 2]),
        st.sampled_from(PRINTS),
    ),
    max_size=6,
)


@given(risks, st.randoms())
def test_the_order_of_waivers_never_matters(some, random):
    shuffled = list(some)
    random.shuffle(shuffled)
    expected = in_force(some, target="a", at=NOW)
    assert in_force(shuffled, target="a", at=NOW) == expected


@pytest.mark.sqlite
@pytest.mark.django_db
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=40,
    deadline=None,
)
@given(risks)
def test_the_list_of_findings_names_the_waiver_that_a_judgement_would_apply(db, some):
    Waiver.objects.all().delete()
    scan = make_scan(target="a")
    for number in range(len(PRINTS)):
        make_finding(scan, number)
    now = datetime.now(UTC)
    moved = [
        AcceptedRisk(
            each.waiver_id,
            each.fingerprint,
            each.target,
            each.reason,
            each.created_by,
            each.expires_at - NOW + now,
        )
        for each in some
    ]
    for each in moved:
        names = AcceptedRisk.__dataclass_fields__
        Waiver.objects.create(**{name: getattr(each, name) for name in names})
    expected = {f: r.waiver_id for f, r in in_force(moved, target="a", at=now).items()}
    rows = FINDINGS.filter(scan=scan)
    told = {row["fingerprint"]: row["waiver_id"] for row in rows if row["waiver_id"]}
    assert told == expected
    assert {r.waiver_id for r in Waiver.objects.in_force().risks()} == {
        each.waiver_id for each in moved if each.expires_at > now
    }
