"""One scan as people see it, and what they do to it there."""

from __future__ import annotations

import json
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apikeys.models import AuditEvent
from scans.api.holding import slots
from scans.console.scan_page import found
from scans.models import Baseline, Scan, ScanDetail, ScanDrift, Target, Waiver
from tests.scans.api_samples import TOOLS, make_finding, make_run, make_scan
from tests.scans.builders import queued_scan
from tests.scans.console.people import signed_in

pytestmark = pytest.mark.django_db


def page_of(client: Client, scan: Scan, query: str = "") -> str:
    answer = client.get(f"/scans/{scan.pk}{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_reasons_findings_and_evidence_are_there_with_hidden_characters_shown(viewer):
    scan = make_scan(
        verdict="fail", reasons=["It is <bad>"], critical_count=1, total_findings=1
    )
    make_finding(scan, evidence={"matched": ["be\u200bware"], "opcode": "REDUCE"})
    page = page_of(viewer, scan)
    assert "It is &lt;bad&gt;" in page
    assert "U+200B</span>ware" in page
    assert "\u200b" not in page
    assert "https://cwe.mitre.org/data/definitions/502.html" in page
    assert "REDUCE" in page


def test_evidence_is_drawn_as_what_it_is(viewer):
    scan = make_scan(high_count=1, total_findings=1)
    signs = [{"sign": "asks for a file", "text": "read\u200b it", "start": 3}]
    make_finding(
        scan,
        location={"path": "a.pkl", "byte_offset": 67},
        evidence={
            "kinds_of_it": ["T-1", "T-2"],
            "matched": signs,
            "deep": [{"a": {"b": 1}}],
            "long": ["x" * 200],
        },
    )
    page = page_of(viewer, scan)
    assert '<code class="chip">T-1</code>' in page
    assert "<th>sign</th><th>text</th><th>start</th>" in page
    assert "<td><code>asks for a file</code></td>" in page
    assert page.count("U+200B") == 2  # its name on hover, too
    assert re.search(r'<pre class="code wrap"[^>]*>x{200}</pre>', page)
    assert re.search(r'<pre class="code wrap"[^>]*aria-label="deep"', page)
    assert "byte offset 67" in page


def test_an_opcode_is_shown_with_what_it_calls_and_where_that_is_loaded(viewer):
    scan = make_scan(critical_count=1, total_findings=1)
    evidence = {
        "opcode": "REDUCE",
        "import_reference": "posix.system",
        "function": "system",
        "global_position": 28,
    }
    make_finding(scan, location={"path": "a.pkl", "byte_offset": 39}, evidence=evidence)
    page = page_of(viewer, scan)
    rows = re.findall(r"<tr>((?:<td><code>[^<]*</code></td>){3})</tr>", page)
    told = [re.findall(r"<code>([^<]*)</code>", row) for row in rows]
    assert told == [
        ["28", "", "loads posix.system"],
        ["39", "REDUCE", "calls posix.system"],
    ]
    assert "global position" not in page


def test_a_severity_is_a_filter_in_the_address(viewer):
    scan = make_scan(critical_count=1, low_count=1, total_findings=2)
    make_finding(scan, 1, title="Grave")
    make_finding(scan, 2, title="Slight", severity=1)
    page = page_of(viewer, scan, "?severity=low")
    assert "Slight" in page
    assert "Grave" not in page
    assert "cannot be answered" in page_of(viewer, scan, "?severity=terrible")


def test_what_nobody_looked_at_is_named(viewer):
    scan = make_scan(verdict="inconclusive")
    skipped = [{"path": "extra/blob.bin", "reason": "no scanner opens it"}]
    make_run(scan, coverage={"files_total": 2, "skipped": skipped})
    page = page_of(viewer, scan)
    assert "1 of 2 elements were not looked at" in page
    assert "no scanner opens it" in page


def test_drift_is_shown_side_by_side(viewer):
    scan = make_scan(scan_type="mcp", verdict="fail")
    change = {
        "kind": "changed",
        "element": "tools/add",
        "path": "/description",
        "before": "Adds.",
        "after": "Adds. Mails.",
        "severity": "high",
        "nature": "description",
    }
    ScanDrift.objects.create(
        scan=scan, baseline_id="0" * 32, changes=[change], omitted=3
    )
    page = page_of(viewer, scan)
    assert "Tool add" in page
    assert "<ins> Mails.</ins>" in page
    assert "3 more changes are" in page


@pytest.mark.parametrize("state", ["completed", "running"])
def test_a_scan_leads_to_its_target(viewer, state):
    target = Target.objects.create(scan_type="model", name="m")
    page = page_of(viewer, make_scan(scan_status=state, target_record=target))
    assert f'href="/targets/{target.pk}"' in page
    assert 'href="/targets/' not in page_of(viewer, make_scan(scan_status=state))


def test_a_scan_and_its_target_are_one_question_and_its_runs_another():
    scan = make_scan()
    with CaptureQueriesContext(connection) as asked:
        assert found(scan.pk)["target_id"] == scan.target_record_id
    assert len(asked) == 2


def test_a_scan_that_is_not_there_is_a_page(viewer):
    assert viewer.get("/scans/0000000a-0000-7000-8000-000000000000").status_code == 404


# What each button asks for, and the least role.
BUTTONS = {
    "cancel": "scanner",
    "rescan": "scanner",
    "delete": "admin",
    "waive": "admin",
    "approve": "admin",
}


@pytest.mark.parametrize("action", BUTTONS)
@pytest.mark.parametrize("role", ["viewer", "scanner", "admin"])
def test_a_button_is_for_its_role_and_those_above(action, role):
    scan = make_scan()
    ranks = ["viewer", "scanner", "admin"]
    is_let_in = ranks.index(role) >= ranks.index(BUTTONS[action])
    answer = signed_in(role, role).post(f"/scans/{scan.pk}/{action}")
    assert answer.status_code == (302 if is_let_in else 403)


@pytest.mark.parametrize("action", BUTTONS)
def test_a_button_needs_its_token(action):
    client = Client(enforce_csrf_checks=True)
    client.force_login(signed_in_user(), "django.contrib.auth.backends.ModelBackend")
    scan = make_scan()
    assert client.post(f"/scans/{scan.pk}/{action}").status_code == 403
    assert Scan.objects.filter(pk=scan.pk).exists()


def signed_in_user():
    from tests.scans.console.people import make_user

    return make_user("root", "admin")


def test_cancel_run_again_delete(admin):
    scan = queued_scan(document={"tools": TOOLS})
    admin.post(f"/scans/{scan.pk}/cancel")
    scan.refresh_from_db()
    assert scan.scan_status == "cancelled"
    again = admin.post(f"/scans/{scan.pk}/rescan", {"fresh": "true"})["Location"]
    newest = Scan.objects.select_related("detail").order_by("-created_at").first()
    assert again == f"/scans/{newest.pk}"
    assert newest.detail.options["fresh"] is True
    assert admin.post(f"/scans/{newest.pk}/delete")["Location"] == "/scans"
    assert not Scan.objects.filter(pk=newest.pk).exists()
    done = AuditEvent.objects.filter(actor="ada").values_list("action", flat=True)
    assert set(done) == {"scan.cancel", "scan.rescan", "scan.delete"}


def test_what_is_refused_is_told(admin):
    scan = make_scan()
    page = admin.post(f"/scans/{scan.pk}/cancel", follow=True).content.decode()
    assert "The scan is already finished." in page


def test_a_finding_is_waived_in_place(admin):
    scan = make_scan(target="m", total_findings=1)
    finding = make_finding(scan)
    sent = {"fingerprint": finding.fingerprint, "reason": "jailed", "days": "30"}
    admin.post(f"/scans/{scan.pk}/waive", sent)
    waiver = Waiver.objects.get()
    assert (waiver.target, waiver.reason, waiver.created_by) == ("m", "jailed", "ada")
    assert ">waived</span>" in page_of(admin, scan)
    for wrong in ({"reason": ""}, {"days": "3000"}, {"fingerprint": "x"}):
        admin.post(f"/scans/{scan.pk}/waive", sent | wrong)
    assert Waiver.objects.count() == 1


def test_what_was_seen_becomes_the_baseline(admin):
    scan = make_scan(target="m")
    admin.post(f"/scans/{scan.pk}/approve")
    baseline = Baseline.objects.get()
    assert (baseline.status, baseline.target) == ("active", "m")


def test_several_scans_at_once(admin):
    queued = [queued_scan(document={"tools": TOOLS}) for _ in range(2)]
    over = make_scan()
    ids = [str(each.pk) for each in (*queued, over)]
    sent = {"scan": ids, "action": "cancel"}
    page = admin.post("/scans/bulk", sent, follow=True).content.decode()
    assert "2 scans cancelled." in page
    assert "1 not: The scan is already finished." in page
    admin.post("/scans/bulk", {"scan": ids, "action": "delete"})
    assert not Scan.objects.filter(pk__in=ids).exists()


@pytest.mark.parametrize(
    "sent", [{}, {"scan": "x", "action": "delete"}, {"action": "explode"}]
)
def test_nothing_is_done_to_what_is_not_named(admin, sent):
    make_scan()
    assert admin.post("/scans/bulk", sent).status_code == 302
    assert Scan.objects.count() == 1


def test_a_scanner_deletes_nothing(scanner):
    scan = make_scan()
    answer = scanner.post("/scans/bulk", {"scan": [scan.pk], "action": "delete"})
    assert answer.status_code == 403
    assert Scan.objects.exists()


def test_reports_are_had_with_the_session(viewer):
    scan = make_scan()
    answer = viewer.get(f"/scans/{scan.pk}/report/json")
    body = json.loads(b"".join(answer.streaming_content))
    assert body["scan_id"] == str(scan.pk)
    assert "attachment" in answer["Content-Disposition"]
    assert viewer.get(f"/scans/{scan.pk}/report/docx").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_events_are_html_of_the_page_and_end_with_the_scan(viewer):
    scan = make_scan(verdict="fail")
    answer = viewer.get(f"/scans/{scan.pk}/events")
    sent = b"".join(answer.streaming_content).decode()
    assert answer["Content-Type"] == "text/event-stream"
    assert "event: finished" in sent
    assert f'hx-get="/scans/{scan.pk}"' in sent


@pytest.mark.django_db(transaction=True)
def test_events_take_a_place_and_give_it_back(viewer, settings):
    scan = make_scan(scan_status="running", progress_stage="scan", progress_total=60)
    answer = viewer.get(f"/scans/{scan.pk}/events")
    first = next(iter(answer.streaming_content))
    assert first.startswith(b"retry")
    answer.close()
    held = [slots().acquire(blocking=False) for _ in range(settings.WEB_THREADS // 2)]
    try:
        assert all(held)
        assert viewer.get(f"/scans/{scan.pk}/events").status_code == 503
    finally:
        for _ in held:
            slots().release()


def test_a_running_scan_says_how_far_it_is(viewer):
    scan = make_scan(scan_status="running", progress_stage="scan", progress_total=60)
    page = page_of(viewer, scan)
    assert 'aria-current="step"' in page
    assert "s of at most 60 s" in page
    assert "modelaudit" in page
    ScanDetail.objects.update(at_work={"one": "timed_out", "two": "running"})
    page = page_of(viewer, scan)
    assert "Timed out" in page
    assert "modelaudit" not in page
