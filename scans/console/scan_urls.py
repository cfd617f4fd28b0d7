"""Routes of scans: the list, one scan, what is done to it."""

from django.urls import path

from scans.console import scan_actions, scan_page, scan_streams
from scans.console.new_scan import new_scan
from scans.console.scan_list import scan_list

_ONE = "scans/<uuid:scan_id>"

patterns = [
    path("scans", scan_list, name="scans"),
    path("scans/new", new_scan, name="scan-new"),
    path("scans/bulk", scan_actions.bulk, name="scans-bulk"),
    path(_ONE, scan_page.scan_page, name="scan"),
    path(f"{_ONE}/coverage", scan_page.scan_coverage, name="scan-coverage"),
    path(f"{_ONE}/events", scan_streams.scan_events, name="scan-events"),
    path(f"{_ONE}/report/<str:name>", scan_streams.scan_report, name="scan-report"),
    path(f"{_ONE}/cancel", scan_actions.cancel, name="scan-cancel"),
    path(f"{_ONE}/rescan", scan_actions.rescan, name="scan-rescan"),
    path(f"{_ONE}/delete", scan_actions.delete, name="scan-delete"),
    path(f"{_ONE}/waive", scan_actions.waive, name="scan-waive"),
    path(f"{_ONE}/approve", scan_actions.approve, name="scan-approve"),
]
