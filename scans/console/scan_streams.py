"""What is sent while it is made: the events of a running scan, and documents."""

from __future__ import annotations

import uuid

from django.db import connection
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_safe

from apikeys.choices import Role
from scans.api.holding import EventStream, slots
from scans.console.doors import PageRequest, needs
from scans.console.scan_page import found, live_context
from scans.exports.forms import FORMS
from scans.exports.reading import read_report
from scans.exports.shapes import Row
from scans.models import FINISHED

# nginx would otherwise collect the events before it passes them on.
HEADERS = {"X-Accel-Buffering": "no"}
RETRY_SECONDS = "5"


@require_safe
@needs(Role.VIEWER)
def scan_events(request: PageRequest, scan_id: uuid.UUID) -> HttpResponseBase:
    """Send the page's live part whenever the scan gets on, until it is finished."""
    has_slot = found(scan_id)["scan_status"] not in FINISHED
    if has_slot and not slots().acquire(blocking=False):
        return HttpResponse(status=503, headers={"Retry-After": RETRY_SECONDS})
    stream = EventStream(scan_id, has_slot=has_slot, write=part)
    return StreamingHttpResponse(stream, "text/event-stream", headers=HEADERS)


def part(name: str, scan: Row) -> bytes:
    """Return one event with the HTML that stands for it on the page."""
    if name == "progress":
        try:
            context = {"live": live_context(scan)}
        finally:
            connection.close()  # a stream holds none between two looks
        html = render_to_string("console/parts/live.html", context)
    else:
        place = reverse("console:scan", args=[scan["scan_id"]])
        html = render_to_string("console/parts/live_over.html", {"place": place})
    lines = "".join(f"data: {line}\n" for line in html.splitlines() if line.strip())
    return f"event: {name}\n{lines}\n".encode()


@require_safe
@needs(Role.VIEWER)
def scan_report(
    request: PageRequest, scan_id: uuid.UUID, name: str
) -> HttpResponseBase:
    form = FORMS.get(name)
    if form is None:
        raise Http404(name)
    report = read_report(scan_id)
    headers = {
        "Content-Disposition": f'attachment; filename="{form.file_name(report)}"',
        "X-Content-Type-Options": "nosniff",
        **form.headers,
    }
    pieces = form.write(report)
    return StreamingHttpResponse(pieces, form.media_type, headers=headers)
