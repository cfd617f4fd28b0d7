"""Routes of the console, included at the root."""

from django.urls import path

from scans.console import (
    keys,
    policy_forms,
    policy_pages,
    session,
    waiver_pages,
)
from scans.console.audit_log import audit_log
from scans.console.health import health
from scans.console.scan_list import scan_list

app_name = "console"
urlpatterns = [
    path("", session.home, name="home"),
    path("sign-in", session.SignIn.as_view(), name="sign-in"),
    path("sign-out", session.sign_out, name="sign-out"),
    path("password", session.PasswordChange.as_view(), name="password"),
    path("theme", session.choose_theme, name="theme"),
    path("scans", scan_list, name="scans"),
    path("waivers", waiver_pages.waiver_list, name="waivers"),
    path("waivers/new", waiver_pages.waiver_new, name="waiver-new"),
    path("waivers/<uuid:waiver_id>/end", waiver_pages.waiver_end, name="waiver-end"),
    path("findings/waive", waiver_pages.waive_findings, name="waive"),
    path("policies", policy_pages.policy_list, name="policies"),
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
