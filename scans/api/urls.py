"""Included below /api/v1/ without a namespace."""

from django.urls import path

from scans.api.views.attestations import AttestationKeyView, AttestationView
from scans.api.views.baselines import (
    ApproveView,
    BaselineListView,
    BaselineView,
    RetireView,
)
from scans.api.views.drift import CompareView, ScanDriftView
from scans.api.views.events import ScanEventsView
from scans.api.views.findings import FindingListView, FindingView, ScanFindingsView
from scans.api.views.policies import (
    PolicyListView,
    PolicyVersionListView,
    PolicyView,
    WhatIfView,
)
from scans.api.views.policy_defaults import PolicyDefaultListView, PolicyDefaultView
from scans.api.views.reports import REPORT_VIEWS, ReportSchemaView, SbomView
from scans.api.views.scanners import ScannerListView
from scans.api.views.scans import CancelView, RescanView, ScanListView, ScanView
from scans.api.views.targets import (
    TargetFindingsView,
    TargetHistoryListView,
    TargetListView,
    TargetView,
)
from scans.api.views.verdicts import VerdictView
from scans.api.views.waivers import WaiverListView, WaiverView

urlpatterns = [
    # First what is asked most: a route is tried after all those above it.
    path("verdicts/sha256:<str:digest>", VerdictView.as_view(), name="verdict"),
    path("scans", ScanListView.as_view(), name="scans"),
    path("scans/<uuid:scan_id>", ScanView.as_view(), name="scan"),
    path("scans/<uuid:scan_id>/findings", ScanFindingsView.as_view()),
    path("scans/<uuid:scan_id>/drift", ScanDriftView.as_view()),
    path("scans/<uuid:scan_id>/events", ScanEventsView.as_view()),
    path("scans/<uuid:scan_id>/cancel", CancelView.as_view()),
    path("scans/<uuid:scan_id>/rescan", RescanView.as_view()),
    *(
        path(f"scans/<uuid:scan_id>/report.{suffix}", view.as_view())
        for suffix, view in REPORT_VIEWS.items()
    ),
    path("scans/<uuid:scan_id>/sbom", SbomView.as_view()),
    path("scans/<uuid:scan_id>/attestation", AttestationView.as_view()),
    path("attestation-key", AttestationKeyView.as_view(), name="attestation-key"),
    path("report-schema", ReportSchemaView.as_view(), name="report-schema"),
    path("findings", FindingListView.as_view(), name="findings"),
    path("findings/<uuid:finding_id>", FindingView.as_view(), name="finding"),
    path("baselines", BaselineListView.as_view(), name="baselines"),
    path("baselines/compare", CompareView.as_view()),
    path("baselines/<uuid:baseline_id>", BaselineView.as_view(), name="baseline"),
    path("baselines/<uuid:baseline_id>/approve", ApproveView.as_view()),
    path("baselines/<uuid:baseline_id>/retire", RetireView.as_view()),
    path("targets", TargetListView.as_view(), name="targets"),
    path("targets/<uuid:target_id>", TargetView.as_view(), name="target"),
    path("targets/<uuid:target_id>/history", TargetHistoryListView.as_view()),
    path("targets/<uuid:target_id>/findings", TargetFindingsView.as_view()),
    path("policies", PolicyListView.as_view(), name="policies"),
    path("policies/<str:name>", PolicyView.as_view(), name="policy"),
    path("policies/<str:name>/what-if", WhatIfView.as_view()),
    path("policies/<str:name>/versions", PolicyVersionListView.as_view()),
    path("policy-defaults", PolicyDefaultListView.as_view(), name="policy-defaults"),
    path(
        "policy-defaults/<uuid:default_id>",
        PolicyDefaultView.as_view(),
        name="policy-default",
    ),
    path("waivers", WaiverListView.as_view(), name="waivers"),
    path("waivers/<uuid:waiver_id>", WaiverView.as_view(), name="waiver"),
    path("scanners", ScannerListView.as_view(), name="scanners"),
]
