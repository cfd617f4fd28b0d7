"""The list of scans."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apikeys.choices import Role
from scanners.contract import TargetKind
from scans.api.queries import SEVERITIES, ScanQuery
from scans.choices import ScanStatus, Verdict
from scans.console.doors import PageRequest, needs
from scans.console.lists import listed, tidy
from scans.exports.shapes import SCANS, scan_shape


@require_safe
@needs(Role.VIEWER)
def scan_list(request: PageRequest) -> HttpResponse:
    if tidied := tidy(request):
        return tidied
    context = {
        "list": listed(request, ScanQuery, SCANS, scan_shape),
        "choices": {
            "scan_type": TargetKind.values,
            "scan_status": ScanStatus.values,
            "verdict": Verdict.values,
            "severity": SEVERITIES[::-1],
        },
    }
    return render(request, "console/scans.html", context)
