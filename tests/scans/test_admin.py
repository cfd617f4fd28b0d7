from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from apikeys.audit import COMMAND_LINE
from apikeys.models import AuditEvent
from scans import baselines, intake
from scans.models import Baseline, Scan, ScanSnapshot, Target
from tests.scans.builders import queued_scan

pytestmark = pytest.mark.django_db(transaction=True)
MODELS = (
    "scan finding scannerrun baseline waiver policy target upload worker".split()  # noqa: SIM905 - reads better
)


@pytest.fixture(autouse=True)
def quiet_queue(monkeypatch):
    monkeypatch.setattr("scans.tasks.announce", lambda scan_id, **_: None)


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("ada"))
    return client


def act(client: Client, model: str, action: str, *keys) -> None:
    url = reverse(f"admin:scans_{model}_changelist")
    data = {"action": action, "_selected_action": [str(key) for key in keys]}
    response = client.post(url, {**data, "post": "yes"}, follow=True)
    assert response.status_code == 200


@pytest.mark.parametrize("model", MODELS)
def test_every_list_opens_and_nothing_can_be_added(admin, model):
    queued_scan({"m": b"x"})
    assert admin.get(reverse(f"admin:scans_{model}_changelist")).status_code == 200
    assert admin.get(f"/admin/scans/{model}/add/").status_code == 403


def test_a_scan_can_be_looked_at_and_not_edited(admin):
    scan = queued_scan({"m": b"x"})
    page = admin.get(reverse("admin:scans_scan_change", args=[scan.pk]))
    assert page.status_code == 200
    assert b'name="target"' not in page.content


def test_scans_are_cancelled_rerun_and_deleted_in_bulk(admin):
    first, second = queued_scan({"m": b"x"}), queued_scan({"m": b"x"})
    act(admin, "scan", "cancel_scans", first.pk, second.pk)
    assert set(Scan.objects.values_list("scan_status", flat=True)) == {"cancelled"}
    act(admin, "scan", "rescan_scans", first.pk)
    assert Scan.objects.filter(scan_status="queued").count() == 1
    act(admin, "scan", "delete_selected", first.pk, second.pk)
    assert Scan.objects.count() == 1
    actions = AuditEvent.objects.filter(actor="ada").values_list("action", flat=True)
    assert sorted(actions) == [
        "scan.cancel",
        "scan.cancel",
        "scan.delete",
        "scan.delete",
        "scan.rescan",
    ]


def test_what_cannot_be_done_is_said(admin):
    scan = queued_scan({"m": b"x"})
    intake.cancel(scan.pk, actor=COMMAND_LINE)
    url = reverse("admin:scans_scan_changelist")
    data = {"action": "cancel_scans", "_selected_action": [str(scan.pk)]}
    page = admin.post(url, data, follow=True)
    assert b"already finished" in page.content


def test_baselines_are_approved_and_retired_in_bulk(admin):
    record = Target.objects.create(scan_type="model", name="m")
    scan = Scan.objects.create(
        scan_type="model",
        target="m",
        target_record=record,
        policy_name="default",
        scan_status="completed",
        verdict="pass",
    )
    ScanSnapshot.objects.create(scan=scan)
    baseline = baselines.create(scan.pk, name="one", actor=COMMAND_LINE)
    act(admin, "baseline", "approve_baselines", baseline.pk)
    assert Baseline.objects.active().get().approved_by == "ada"
    act(admin, "baseline", "retire_baselines", baseline.pk)
    assert not Baseline.objects.active().exists()


def test_a_viewer_sees_no_row_of_the_machine():
    viewer = User.objects.create_user("vic", is_staff=True)
    viewer.groups.add(Group.objects.get_or_create(name="viewer")[0])
    client = Client()
    client.force_login(viewer)
    assert client.get(reverse("admin:scans_scan_changelist")).status_code == 403


def test_a_long_list_costs_a_fixed_number_of_queries(
    admin, django_assert_max_num_queries
):
    for _ in range(5):
        queued_scan({"m": b"x"})
    with django_assert_max_num_queries(8):
        admin.get(reverse("admin:scans_scan_changelist"))


def test_pages_hold_no_script_without_a_nonce(admin):
    queued_scan({"m": b"x"})
    page = admin.get(reverse("admin:scans_scan_changelist"))
    assert "script-src 'self'" in page["Content-Security-Policy"]
    assert "unsafe" not in page["Content-Security-Policy"]
    html = page.content.decode()
    for tag in re.findall(r"<(?:script|style)\b[^>]*>", html):
        assert "src=" in tag or "nonce=" in tag or "application/json" in tag, tag
    assert not re.search(r"\son(click|load|change|submit)=", html)
    assert ' style="' not in html
