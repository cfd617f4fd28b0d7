from __future__ import annotations

import html
import re

import pytest

from apikeys.audit import COMMAND_LINE
from apikeys.models import AuditEvent
from scanners.contract import Severity
from scans import policies, policy_choice
from scans.console import policy_forms
from scans.models import Policy, PolicyDefault, ScanDetail
from tests.scans.api_samples import make_finding, make_run, make_scan

pytestmark = pytest.mark.django_db


def judged(target: str, severity: Severity, *, minutes: int = 0):
    """A stored scan that passed although it has a finding."""
    scan = make_scan(target=target, minutes=minutes)
    evidence = {"gaps": [], "more_gaps": 0, "has_sbom": False}
    ScanDetail.objects.filter(scan=scan).update(evidence=evidence)
    make_run(scan)
    make_finding(scan, minutes, severity=severity, category="quality")
    return scan


def said(page) -> str:
    text = re.sub(r"<[^>]+>", " ", page.content.decode())
    return re.sub(r"\s+", " ", html.unescape(text))


def test_the_built_in_policy_is_there_without_being_made(viewer):
    page = viewer.get("/policies")
    assert "default for scans that name none" in said(page)
    assert "/new-policy" not in page.content.decode()
    assert "Fails from · default high" in said(viewer.get("/policies/default"))


def test_what_is_chosen_for_scans_that_name_none_is_shown(viewer):
    assert "Targets Type Policy" not in said(viewer.get("/policies"))
    policies.create("strict", {}, actor=COMMAND_LINE)
    policy_choice.create(
        scan_type="model", pattern="<b>/*", policy="strict", actor=COMMAND_LINE
    )
    page = viewer.get("/policies")
    assert "<b>/* model strict" in said(page)
    assert "<b>/" not in page.content.decode()


def test_a_policy_is_told_in_words_with_its_defaults(viewer):
    policies.create("strict", {"severity_threshold": "low"}, actor=COMMAND_LINE)
    page = said(viewer.get("/policies/strict"))
    assert "Fails from low and worse" in page
    assert "Always fails · default code execution tool poisoning" in page
    assert viewer.get("/policies/nowhere").status_code == 404


def test_versions_are_listed_and_two_are_compared(viewer):
    policies.create("strict", {"severity_threshold": "low"}, actor=COMMAND_LINE)
    policies.revise("strict", {"severity_threshold": "medium"}, actor=COMMAND_LINE)
    policies.revise("strict", {"only_new": True}, actor=COMMAND_LINE)
    newest = viewer.get("/policies/strict").content.decode()
    assert "<del>severity_threshold</del>" in newest
    assert "<ins>only_new</ins>" in newest
    first = said(viewer.get("/policies/strict?version=1"))
    assert "version 1, not the newest" in first
    assert "What changed" not in first
    far = said(viewer.get("/policies/strict?version=3&against=1"))
    assert "What changed from version 1 to 3" in far
    for query in ("version=9", "version=x", "version=0", "against=7", "other=1"):
        assert viewer.get(f"/policies/strict?{query}").status_code == 404, query


def test_a_new_policy_is_made_of_yaml(admin):
    form = {"name": "strict", "text": "severity_threshold: low\r\n", "save": "1"}
    page = admin.post("/new-policy", form, follow=True)
    assert b"Version 1 of strict is in force" in page.content
    policy = Policy.objects.get(name="strict")
    assert policy.document == {"severity_threshold": "low"}
    event = AuditEvent.objects.get(action="policy.create")
    assert (event.actor, event.ip) == ("ada", "127.0.0.1")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("severity_treshold: low", "severity_treshold"),
        ("severity_threshold: severe", "severity_threshold"),
        ("drift:\n  added: perhaps", "drift"),
        ("require_scanners: [nobody]", "unknown scanner 'nobody'"),
        ("allow_rules: [x]", "allow_rules"),
        ("only_new: [", "(line 1, column 1"),
        ("only_new: true\nonly_new: false", "stands twice (line 1"),
        ("a: &x 1\nb: *x", "anchors and aliases are not read (line 1"),
        ("- a", "a policy is an object"),
        ("only_new: !!python/name:os.system", "tag"),
    ],
)
@pytest.mark.parametrize("button", ["save", "ask"])
def test_what_is_no_policy_is_said_with_its_key_or_line(admin, text, told, button):
    form = {"name": "strict", "text": text, button: "1"}
    page = admin.post("/new-policy", form)
    assert told in said(page)
    assert 'aria-invalid="true"' in page.content.decode()
    # What was typed is not lost.
    assert text.splitlines()[0] in html.unescape(page.content.decode())
    assert not Policy.objects.exists()


@pytest.mark.parametrize("name", ["default", "strict", "-x", "a b", "a/b"])
def test_a_name_that_is_taken_or_none_is_said(admin, name):
    policies.create("strict", {}, actor=COMMAND_LINE)
    page = admin.post("/new-policy", {"name": name, "text": "", "save": "1"})
    assert 'class="wrong"' in page.content.decode()
    assert Policy.objects.count() == 1


def changed(client) -> str:
    """The text of the form, with another threshold."""
    page = client.get("/policies/default/edit").content.decode()
    text = html.unescape(re.search(r"<textarea[^>]*>(.*?)</textarea>", page, re.S)[1])
    return text.strip().replace(
        "severity_threshold: high", "severity_threshold: medium"
    )


def test_what_if_names_the_targets_that_would_flip_and_changes_nothing(admin):
    judged("mild", Severity.LOW)
    judged("grave", Severity.MEDIUM, minutes=1)
    form = {"text": changed(admin), "version": "1", "ask": "1"}
    page = admin.post("/policies/default/edit", form)
    told = said(page)
    assert "Of the newest 2 judged scans, 1 would have another verdict" in told
    assert "1: pass → fail" in told
    table = told.partition("Target that would flip")[2]
    assert "grave Pass Fail" in table
    assert "mild" not in table
    # Of the whole document one word is another, however the database ordered its keys.
    assert re.findall("<(ins|del)>([^<]*)", page.content.decode()) == [
        ("del", "high"),
        ("ins", "medium"),
    ]
    assert Policy.objects.get().version == 1


def test_what_if_asks_three_questions_for_a_thousand_scans(
    admin, django_assert_max_num_queries
):
    for number in range(5):
        judged(f"m{number}", Severity.LOW, minutes=number)
    with django_assert_max_num_queries(12):
        admin.post("/new-policy", {"name": "x", "text": "", "ask": "1"})


def test_what_if_says_when_nothing_would_change(admin):
    judged("mild", Severity.LOW)
    page = admin.post("/new-policy", {"name": "x", "text": "", "ask": "1"})
    assert "The newest verdict of every target stays" in said(page)


def test_what_if_says_when_there_is_more_than_it_looks_at(admin, monkeypatch):
    monkeypatch.setattr(policy_forms, "MOST_JUDGED", 1)
    judged("a", Severity.LOW)
    judged("b", Severity.LOW, minutes=1)
    page = admin.post("/new-policy", {"name": "x", "text": "", "ask": "1"})
    assert "there are more" in said(page)


def test_a_policy_gets_its_next_version(admin):
    policies.create("strict", {"severity_threshold": "low"}, actor=COMMAND_LINE)
    page = admin.get("/policies/strict/edit").content.decode()
    assert "severity_threshold: low" in page
    form = {"text": "only_new: true", "version": "1", "save": "1"}
    assert admin.post("/policies/strict/edit", form)["Location"] == "/policies/strict"
    assert Policy.objects.newest("strict").document == {"only_new": True}
    assert AuditEvent.objects.get(action="policy.revise").actor == "ada"


def test_nobody_writes_over_a_version_that_they_have_not_seen(admin):
    policies.create("strict", {}, actor=COMMAND_LINE)
    policies.revise("strict", {"require_sbom": True}, actor=COMMAND_LINE)
    form = {"text": "only_new: true", "version": "1", "save": "1"}
    page = admin.post("/policies/strict/edit", form)
    assert "was made meanwhile" in said(page)
    assert "only_new: true" in page.content.decode()
    assert Policy.objects.newest("strict").version == 2


@pytest.mark.parametrize("role", ["viewer", "scanner"])
def test_only_an_admin_writes_policies(role, request):
    client = request.getfixturevalue(role)
    policies.create("strict", {}, actor=COMMAND_LINE)
    form = {"name": "x", "text": "", "version": "1", "save": "1"}
    assert client.post("/new-policy", form).status_code == 403
    assert client.post("/policies/strict/edit", form).status_code == 403
    assert Policy.objects.filter(version=2).count() == 0
    assert b"/edit" not in client.get("/policies/strict").content


def choose(client, **changed):
    form = {"scan_type": "mcp", "pattern": "prod-*", "policy": "default"} | changed
    return client.post("/policy-defaults", form, follow=True)


def test_a_policy_is_chosen_for_targets_and_taken_back(admin, viewer):
    policies.create("strict", {}, actor=COMMAND_LINE)
    assert "strict judges scans of mcp prod-*" in said(choose(admin, policy="strict"))
    assert PolicyDefault.objects.policy_for("mcp", "prod-1") == "strict"
    shown = said(viewer.get("/policies"))
    assert "prod-* mcp strict" in shown
    assert "Take back" not in shown
    row = PolicyDefault.objects.get()
    assert "is taken back" in said(
        admin.post(f"/policy-defaults/{row.pk}/delete", follow=True)
    )
    assert PolicyDefault.objects.policy_for("mcp", "prod-1") == "default"
    events = AuditEvent.objects.filter(object_type="policy_default", actor="ada")
    assert events.count() == 2


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"policy": "nowhere"}, "There is no policy 'nowhere'"),
        ({"pattern": ""}, "Pattern: This field is required"),
        ({"pattern": "*" * 6}, "At most 5 stars"),
        ({"scan_type": "house"}, "Scan type: Select a valid choice"),
    ],
)
def test_a_choice_that_cannot_be_is_said(admin, changed, told):
    assert told in said(choose(admin, **changed))
    assert not PolicyDefault.objects.exists()


@pytest.mark.parametrize("role", ["viewer", "scanner"])
def test_only_an_admin_chooses_policies(role, request):
    client = request.getfixturevalue(role)
    row = PolicyDefault.objects.create(scan_type="mcp", policy_name="default")
    assert choose(client).status_code == 403
    assert client.post(f"/policy-defaults/{row.pk}/delete").status_code == 403
    assert PolicyDefault.objects.count() == 1
