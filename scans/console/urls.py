"""Routes of the console, included at the root."""

from django.urls import path

from scans.console import (
    baseline_pages,
    finding_groups,
    keys,
    policy_defaults,
    policy_forms,
    policy_pages,
    scan_urls,
    session,
    single_sign_on,
    target_pages,
    waiver_pages,
)
from scans.console.audit_log import audit_log
from scans.console.finding_list import finding_list
from scans.console.finding_page import finding_page
from scans.console.health import health
from scans.console.overview import overview, running

app_name = "console"
urlpatterns = [
    path("", overview, name="home"),
    path("running", running, name="running"),
    path("sign-in", session.SignIn.as_view(), name="sign-in"),
    path("sign-in/sso", single_sign_on.depart, name="single-sign-on"),
    path("sign-in/back", single_sign_on.come_back, name="single-sign-on-return"),
    path("sign-out", session.sign_out, name="sign-out"),
    path("password", session.PasswordChange.as_view(), name="password"),
    path("theme", session.choose_theme, name="theme"),
    *scan_urls.patterns,
    path("waivers", waiver_pages.waiver_list, name="waivers"),
    path("waivers/new", waiver_pages.waiver_new, name="waiver-new"),
    path("waivers/<uuid:waiver_id>/end", waiver_pages.waiver_end, name="waiver-end"),
    path("targets", target_pages.target_list, name="targets"),
    path("targets/<uuid:target_id>", target_pages.target_page, name="target"),
    path("baselines", baseline_pages.baseline_new, name="baseline-new"),
    path("baselines/<uuid:baseline_id>", baseline_pages.baseline_page, name="baseline"),
    path(
        "baselines/<uuid:baseline_id>/approve",
        baseline_pages.baseline_approve,
        name="baseline-approve",
    ),
    path(
        "baselines/<uuid:baseline_id>/retire",
        baseline_pages.baseline_retire,
        name="baseline-retire",
    ),
    path(
        "baselines/<uuid:baseline_id>/delete",
        baseline_pages.baseline_delete,
        name="baseline-delete",
    ),
    path("findings", finding_list, name="findings"),
    path("findings/by-rule", finding_groups.by_rule, name="findings-by-rule"),
    path("findings/by-target", finding_groups.by_target, name="findings-by-target"),
    path("findings/<uuid:finding_id>", finding_page, name="finding"),
    path("findings/waive", waiver_pages.waive_findings, name="waive"),
    path("policies", policy_pages.policy_list, name="policies"),
    path("policy-defaults", policy_defaults.default_new, name="policy-default-new"),
    path(
        "policy-defaults/<uuid:default_id>/delete",
        policy_defaults.default_delete,
        name="policy-default-delete",
    ),
    path("new-policy", policy_forms.policy_new, name="policy-new"),
    path("policies/<str:name>", policy_pages.policy_page, name="policy"),
    path("policies/<str:name>/edit", policy_forms.policy_edit, name="policy-edit"),
    path("keys", keys.key_list, name="keys"),
    path("keys/new", keys.key_new, name="key-new"),
    path("keys/<uuid:key_id>/rotate", keys.key_rotate, name="key-rotate"),
    path("keys/<uuid:key_id>/revoke", keys.key_revoke, name="key-revoke"),
    path("health", health, name="health"),
    path("audit", audit_log, name="audit"),
]
