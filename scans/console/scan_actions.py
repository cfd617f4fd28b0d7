"""What is done to scans with a button: cancel, run again, delete, accept a finding."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta

from django.contrib import messages
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from apikeys.authentication import actor_of
from apikeys.choices import Role
from scans import baselines, intake, waiving
from scans.choices import Conflict, Gone, NotFound, Refused
from scans.console.doors import PageRequest, came_from, needs
from scans.console.scan_page import WAIVER_DAYS, found
from scans.waivers import EVERY_TARGET

MOST_AT_ONCE = 200


@require_POST
@needs(Role.SCANNER)
def cancel(request: PageRequest, scan_id: uuid.UUID) -> HttpResponse:
    intake.cancel(scan_id, actor=actor_of(request), request=request)
    messages.success(request, "The scan is cancelled.")
    return redirect("console:scan", scan_id)


@require_POST
@needs(Role.SCANNER)
def rescan(request: PageRequest, scan_id: uuid.UUID) -> HttpResponse:
    is_fresh = request.POST.get("fresh") == "true"
    actor = actor_of(request)
    scan = intake.rescan(scan_id, fresh=is_fresh, actor=actor, request=request)
    return redirect("console:scan", scan.pk)


@require_POST
@needs(Role.ADMIN)
def delete(request: PageRequest, scan_id: uuid.UUID) -> HttpResponse:
    found(scan_id)
    intake.delete([scan_id], actor=actor_of(request), request=request)
    messages.success(request, "The scan is deleted.")
    return redirect("console:scans")


@require_POST
@needs(Role.ADMIN)
def waive(request: PageRequest, scan_id: uuid.UUID) -> HttpResponse:
    scan = found(scan_id)
    is_for_all = request.POST.get("every") == "true"
    ends = timezone.now() + timedelta(days=days_of(request))
    waiving.create(
        fingerprint=request.POST.get("fingerprint", ""),
        reason=request.POST.get("reason", ""),
        expires_at=ends,
        target=EVERY_TARGET if is_for_all else scan["target"],
        actor=actor_of(request),
        request=request,
    )
    text = f"Waived until {ends:%-d %b %Y}. Run the scan again for a new verdict."
    messages.success(request, text)
    return redirect("console:scan", scan_id)


def days_of(request: PageRequest) -> int:
    days = request.POST.get("days", "")
    if days not in {str(each) for each in WAIVER_DAYS}:
        raise Refused("days", "choose how long the waiver holds")
    return int(days)


@require_POST
@needs(Role.ADMIN)
def approve(request: PageRequest, scan_id: uuid.UUID) -> HttpResponse:
    """Make what this scan saw the target's baseline, and put it in force."""
    actor = actor_of(request)
    name = request.POST.get("name", "").strip() or f"Scan of {timezone.now():%Y-%m-%d}"
    made = baselines.create(
        scan_id=scan_id, name=name[:200], description="", actor=actor, request=request
    )
    baselines.approve(made.pk, actor=actor, request=request)
    text = f"{name} is the baseline now: later scans are compared with it."
    messages.success(request, text)
    return redirect("console:scan", scan_id)


@require_POST
@needs(Role.SCANNER)
def bulk(request: PageRequest) -> HttpResponseBase:
    """Do one thing to all scans that were ticked; each that refuses is told."""
    action = request.POST.get("action", "")
    if action == "delete":
        return delete_all(request)
    if action not in ACTIONS:
        raise Refused("action", "choose what to do with these scans")
    act, done = ACTIONS[action]
    count, refused = 0, []
    for scan_id in chosen(request):
        try:
            act(request, scan_id)
            count += 1
        except (Conflict, Gone, NotFound, Refused) as error:
            refused.append(str(error))
    if count:
        messages.success(
            request, f"{count} {'scan' if count == 1 else 'scans'} {done}."
        )
    for reason in dict.fromkeys(refused):
        messages.warning(request, f"{refused.count(reason)} not: {reason}.")
    return redirect(came_from(request, "console:scans"))


def chosen(request: PageRequest) -> list[uuid.UUID]:
    """Return the ids that were ticked; raise `Refused` for none, or what is no id."""
    try:
        ids = [uuid.UUID(text) for text in request.POST.getlist("scan")]
    except ValueError as error:
        raise Refused("scan", "this is no scan's id") from error
    if not 1 <= len(ids) <= MOST_AT_ONCE:
        raise Refused("scan", f"choose from 1 to {MOST_AT_ONCE} scans")
    return list(dict.fromkeys(ids))


def _cancel(request: PageRequest, scan_id: uuid.UUID) -> None:
    intake.cancel(scan_id, actor=actor_of(request), request=request)


def _rescan(request: PageRequest, scan_id: uuid.UUID) -> None:
    intake.rescan(scan_id, fresh=False, actor=actor_of(request), request=request)


ACTIONS: dict[str, tuple[Callable[[PageRequest, uuid.UUID], None], str]] = {
    "cancel": (_cancel, "cancelled"),
    "rescan": (_rescan, "queued again"),
}


@needs(Role.ADMIN)
def delete_all(request: PageRequest) -> HttpResponse:
    ids = chosen(request)
    intake.delete(ids, actor=actor_of(request), request=request)
    text = f"{len(ids)} {'scan is' if len(ids) == 1 else 'scans are'} deleted."
    messages.success(request, text)
    return redirect(came_from(request, "console:scans"))
