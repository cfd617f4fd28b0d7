"""What every page keeps: its policy, its role, its number of queries."""

from __future__ import annotations

import re
import uuid

import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse

from scans.models import Scan, ScanDrift
from tests.scans.api_samples import make_finding, make_run, make_scan
from tests.scans.console.people import signed_in
from tests.scans.console.records import decide, key_of

pytestmark = pytest.mark.django_db

MOST_QUERIES = 12
SCAN = uuid.UUID(int=7)
# Where each page is, and the least role that may open it.
PAGES = {
    "home": ("/", "viewer"),
    "scans": ("/scans", "viewer"),
    "scan": (f"/scans/{SCAN}", "viewer"),
    "scan-new": ("/scans/new", "scanner"),
    "scan-coverage": (f"/scans/{SCAN}/coverage", "viewer"),
    "password": ("/password", "viewer"),
    "targets": ("/targets", "viewer"),
    "target": (f"/targets/{key_of(1)}", "viewer"),
    "baseline": (f"/baselines/{key_of(1)}", "viewer"),
    "findings": ("/findings", "viewer"),
    "findings-by-rule": ("/findings/by-rule", "viewer"),
    "findings-by-target": ("/findings/by-target", "viewer"),
    "finding": (f"/findings/{key_of(1)}", "viewer"),
    "waivers": ("/waivers", "viewer"),
    "waiver-new": ("/waivers/new", "admin"),
    "policies": ("/policies", "viewer"),
    "policy": ("/policies/default", "viewer"),
    "policy-new": ("/new-policy", "admin"),
    "policy-edit": ("/policies/default/edit", "admin"),
    "health": ("/health", "viewer"),
    "keys": ("/keys", "admin"),
    "key-new": ("/keys/new", "admin"),
    "audit": ("/audit", "admin"),
}
# These answer forms, or everybody, or are a part of a page.
NO_PAGES = {
    "running",
    *("sign-in", "sign-out", "theme"),
    *("single-sign-on", "single-sign-on-return"),
    *("baseline-new", "baseline-approve", "baseline-retire", "baseline-delete"),
    *("policy-default-new", "policy-default-delete"),
    *("waive", "waiver-end", "key-rotate", "key-revoke"),
    *("scan-approve", "scan-cancel", "scan-delete", "scan-events", "scan-report"),
    *("scan-rescan", "scan-waive", "scans-bulk"),
}
ROLES = ["viewer", "scanner", "admin"]
CHANGES = [
    {
        "kind": "changed",
        "element": "tools/add",
        "path": "/description",
        "before": "Adds.",
        "after": "Adds.\u200b And mails.",
        "severity": "critical",
        "nature": "hidden_unicode",
    }
]


def fill(number: int) -> None:
    """One more of everything that a page lists; the first scan is the one of `SCAN`."""
    scan = make_scan(minutes=number, target=f"m{number}", critical_count=1)
    if not Scan.objects.filter(pk=SCAN).exists():
        scan = make_scan(scan_id=SCAN, critical_count=9, total_findings=9)
        ScanDrift.objects.create(scan=scan, baseline_id=uuid.uuid4(), changes=CHANGES)
    make_run(Scan.objects.get(pk=SCAN), f"scanner-{number}")
    make_finding(Scan.objects.get(pk=SCAN), number)
    decide(number)


def routes() -> list[URLPattern]:
    (console,) = [
        each
        for each in get_resolver().url_patterns
        if getattr(each, "app_name", "") == "console"
    ]
    return console.url_patterns


def test_every_page_is_among_them() -> None:
    assert {each.name for each in routes()} == set(PAGES) | NO_PAGES


def test_no_form_is_taken_from_another_site() -> None:
    client = signed_in("ada", "admin", enforce_csrf_checks=True)
    for route in routes():
        names = route.pattern.converters
        values = dict.fromkeys(names, "00000000-0000-0000-0000-000000000000")
        answer = client.post(reverse(f"console:{route.name}", kwargs=values))
        assert answer.status_code in {403, 405}, route.name
        if answer.status_code == 403:
            assert b"This form is too old" in answer.content, route.name


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_for_its_role_and_those_above(name: str) -> None:
    fill(1)
    url, least = PAGES[name]
    for role in ROLES:
        client = signed_in(role, role)
        is_let_in = ROLES.index(role) >= ROLES.index(least)
        assert client.get(url).status_code == (200 if is_let_in else 403), role
    assert Client().get(url).status_code == 302


@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_the_database_few_questions_however_many_rows(
    name: str, django_assert_max_num_queries
) -> None:
    client = signed_in("ada", "admin")
    for number in range(8):
        fill(number)
    with django_assert_max_num_queries(MOST_QUERIES):
        client.get(PAGES[name][0])


@pytest.mark.parametrize("name", [*PAGES, "sign-in"])
def test_a_page_needs_no_other_host_and_keeps_its_policy(name: str) -> None:
    fill(1)
    client = signed_in("ada", "admin") if name in PAGES else Client()
    answer = client.get(PAGES[name][0] if name in PAGES else "/sign-in")
    page = answer.content.decode()
    # A link is followed by whoever wants to; nothing else leads to another host.
    links = r"<a [^>]*rel=.noreferrer noopener.[^>]*>"
    own = re.sub(links, "", page)
    assert not re.findall(r"""(?:src|href|action)=["'](?:https?:)?//""", own)
    nonce = re.search(r"'nonce-([^']+)'", answer["Content-Security-Policy"])
    assert "unsafe" not in answer["Content-Security-Policy"]
    for tag in re.findall(r"<(?:script|style)[^>]*>", page):
        assert nonce, tag
        assert f' nonce="{nonce[1]}"' in tag or "application/json" in tag, tag
    assert not re.findall(r"\s(on\w+|style)=", page)
    for asset in set(re.findall(r'(?:src|href)="(/static/[^"#]+)', page)):
        assert client.get(asset).status_code == 200, asset


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_kept_by_no_cache(name: str) -> None:
    fill(1)
    answer = signed_in("ada", "admin").get(PAGES[name][0])
    assert "no-store" in answer["Cache-Control"]


def test_what_is_not_there_is_a_page_for_people_and_a_problem_for_machines() -> None:
    page = Client().get("/nowhere")
    assert page.status_code == 404
    assert b"There is no such page" in page.content
    assert Client().get("/api/v1/nowhere")["Content-Type"] == "application/problem+json"


def test_a_fault_of_ours_is_a_page_that_asks_no_database(settings) -> None:
    from scans.console import failures

    request = Client().get("/sign-in").wsgi_request
    page = failures.server_failure(request)
    assert page.status_code == 500
    assert request.request_id.encode() in page.content
