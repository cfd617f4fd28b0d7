from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from django.utils import timezone

from apikeys.models import AuditEvent
from scans.models import Waiver
from tests.scans.api_samples import make_finding, make_scan
from tests.scans.console.records import make_waiver, print_of

pytestmark = pytest.mark.django_db


def days_on(days: int) -> str:
    return str(timezone.now().date() + timedelta(days=days))


def states(page) -> list[str]:
    return re.findall(
        r"</svg>(in force|ends soon|stale|expired)<", page.content.decode()
    )


def test_without_a_waiver_the_page_says_what_one_is(viewer, admin):
    assert b"No risk is accepted" in viewer.get("/waivers").content
    assert b"/waivers/new" not in viewer.get("/waivers").content
    assert b"/waivers/new" in admin.get("/waivers").content


def test_the_list_says_what_each_is_now(viewer):
    old = make_scan(target="m")
    make_finding(old, 3)
    scan = make_scan(target="m", minutes=5)
    make_finding(scan, 1)
    make_finding(scan, 2)
    make_waiver(1, days=90)
    make_waiver(2, days=3)
    make_waiver(3, days=90)  # only in the scan before
    make_waiver(4, days=-1)
    assert states(viewer.get("/waivers")) == [
        "expired",
        "stale",
        "ends soon",
        "in force",
    ]
    assert states(viewer.get("/waivers?expired=true")) == ["expired"]
    assert states(viewer.get("/waivers?stale=false")) == ["ends soon", "in force"]


def test_a_waiver_is_shown_with_the_finding_that_it_accepts(viewer):
    make_finding(make_scan(), 1, title="Runs <b>a shell</b>")
    make_waiver(1, reason="ours\u202e")
    page = viewer.get("/waivers").content.decode()
    assert "Runs &lt;b&gt;a shell" in page
    assert "U+202E" in page


def test_a_fingerprint_is_accepted_until_the_end_of_a_day(admin):
    today = days_on(0)
    form = {"fingerprint": print_of(7), "reason": "known", "until": today}
    page = admin.post("/waivers/new", form, follow=True)
    assert b"1 finding is accepted" in page.content
    waiver = Waiver.objects.get()
    assert (waiver.target, waiver.created_by) == ("", "ada")
    assert waiver.expires_at.strftime("%H:%M") == "00:00"
    assert waiver.expires_at.date() - date.fromisoformat(today) == timedelta(days=1)
    event = AuditEvent.objects.get()
    assert (event.action, event.actor, event.ip) == (
        "waiver.create",
        "ada",
        "127.0.0.1",
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fingerprint": "v1:abc"}, "64 hexadecimal digits"),
        ({"until": "2020-01-01"}, "This day is over"),
        ({"until": "9999-12-31"}, "This day is over"),
        ({"until": "soon"}, "Enter a valid date"),
        ({"reason": " "}, "This field is required"),
        ({"target": "a\u200bb"}, "printable characters"),
    ],
)
def test_what_cannot_be_accepted_is_said_beside_its_field(admin, change, said):
    form = {"fingerprint": print_of(7), "reason": "known", "until": days_on(9)}
    page = admin.post("/waivers/new", form | change)
    assert said in page.content.decode()
    assert not Waiver.objects.exists()


def test_chosen_findings_are_accepted_together_each_on_its_target(admin):
    here, there = make_scan(target="here"), make_scan(target="there")
    found = [make_finding(here, 1), make_finding(here, 2), make_finding(there, 1)]
    chosen = {"finding": [str(each.pk) for each in found]}
    page = admin.post("/findings/waive", chosen, headers={"Referer": "/scans?limit=5"})
    assert b"Waive 3 findings" in page.content
    assert not Waiver.objects.exists()
    answer = {"reason": "known", "until": days_on(9), "scope": "target"}
    done = admin.post("/findings/waive", chosen | answer | {"next": "/scans?limit=5"})
    assert done["Location"] == "/scans?limit=5"
    waivers = Waiver.objects.values_list("fingerprint", "target")
    assert sorted(waivers) == [
        (print_of(1), "here"),
        (print_of(1), "there"),
        (print_of(2), "here"),
    ]
    assert AuditEvent.objects.filter(action="waiver.create", actor="ada").count() == 3


def test_for_every_target_a_weakness_is_accepted_once(admin):
    found = [make_finding(make_scan(target=name), 1) for name in "ab"]
    form = {
        "finding": [str(each.pk) for each in found],
        "reason": "known",
        "until": days_on(9),
        "scope": "all",
    }
    admin.post("/findings/waive", form)
    assert list(Waiver.objects.values_list("target", flat=True)) == [""]
    again = admin.post("/findings/waive", form, follow=True)
    assert b"were waived already" in again.content
    assert Waiver.objects.count() == 1


def test_a_choice_that_is_none_goes_back_with_a_reason(admin):
    for chosen, said in (([], b"at least one"), (["x"], b"named by its id")):
        page = admin.post("/findings/waive", {"finding": chosen}, follow=True)
        assert said in page.content
    missing = ["00000000-0000-0000-0000-000000000000"]
    page = admin.post("/findings/waive", {"finding": missing}, follow=True)
    assert b"at least one" in page.content


def test_a_waiver_can_be_ended(admin):
    waiver = make_waiver(1)
    page = admin.post(f"/waivers/{waiver.pk}/end", follow=True)
    assert b"has ended" in page.content
    assert not Waiver.objects.exists()
    event = AuditEvent.objects.get(action="waiver.delete")
    assert (event.actor, event.detail["reason"]) == ("ada", "known")
    assert admin.post(f"/waivers/{waiver.pk}/end").status_code == 404


@pytest.mark.parametrize("role", ["viewer", "scanner"])
def test_only_an_admin_accepts_and_ends(role, request):
    client = request.getfixturevalue(role)
    waiver = make_waiver(1)
    finding = make_finding(make_scan())
    form = {"fingerprint": print_of(7), "reason": "known", "until": days_on(9)}
    chosen = form | {"finding": str(finding.pk), "scope": "all"}
    assert client.post("/waivers/new", form).status_code == 403
    assert client.post("/findings/waive", chosen).status_code == 403
    assert client.post(f"/waivers/{waiver.pk}/end").status_code == 403
    assert Waiver.objects.count() == 1
    assert b"/end" not in client.get("/waivers").content
