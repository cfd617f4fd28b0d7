"""What a door may ask for a baseline: make, approve, retire, delete, compare."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import transaction
from django.http import HttpRequest

from apikeys import audit
from apikeys.audit import Actor
from scanners.contract import Category, TargetKind
from scans import comparing
from scans.choices import Conflict, NotFound, Refused, ScanStatus
from scans.models import Baseline, Finding, Scan, Target
from scans.snapshots import Incomparable

NO_BASELINE = "There is no such baseline"


def create(
    scan_id: uuid.UUID,
    *,
    name: str,
    description: str = "",
    actor: Actor,
    request: HttpRequest | None = None,
) -> Baseline:
    """Copy what a completed scan saw; the copy is inactive until approved.

    Raises `NotFound`, or `Conflict` for a scan that is not completed.
    """
    with transaction.atomic():
        # Held, so that nobody deletes it before the baseline that names it is there.
        held = Scan.objects.select_for_update(of=("self",), no_key=True)
        scan = held.select_related("snapshot").filter(pk=scan_id).first()
        if scan is None:
            raise NotFound("There is no such scan")
        if scan.scan_status != ScanStatus.COMPLETED:
            raise Conflict("A baseline is made from a completed scan")
        # Drift from the baseline before is nothing that anybody approves with this one.
        prints = Finding.objects.filter(scan=scan).order_by("fingerprint")
        prints = prints.exclude(category=Category.BASELINE_DRIFT)
        baseline = Baseline.objects.create(
            scan_type=scan.scan_type,
            target=scan.target,
            target_record_id=scan.target_record_id,
            scan=scan,
            name=name,
            description=description,
            digest=scan.digest,
            snapshot={
                "elements": scan.snapshot.elements,
                "document": scan.snapshot.document,
                "fingerprints": list(prints.values_list("fingerprint", flat=True)),
            },
            created_by=actor.name,
        )
        _audit("baseline.create", baseline.pk, actor, request)
    return baseline


def approve(
    baseline_id: uuid.UUID, *, actor: Actor, request: HttpRequest | None = None
) -> Baseline:
    """Put a baseline in force and retire the one before it, both or neither."""
    with transaction.atomic():
        baseline = _found(baseline_id)
        # One approval of a target at a time: the second then sees the first's.
        Target.objects.select_for_update().get_or_create(
            scan_type=baseline.scan_type, name=baseline.target
        )
        rivals = Baseline.objects.active().of_target(
            baseline.scan_type, baseline.target
        )
        # Where another approval of this very baseline came first, it is no rival.
        others = rivals.exclude(pk=baseline_id).values_list("pk", flat=True)
        for rival in list(others):
            # Somebody may retire it between the look and this.
            if Baseline.objects.retire(rival, by=actor.name):
                _audit("baseline.retire", rival, actor, request)
        if not Baseline.objects.approve(baseline_id, by=actor.name):
            raise Conflict(f"The baseline is already {_found(baseline_id).status}")
        _audit("baseline.approve", baseline_id, actor, request)
    return Baseline.objects.get(pk=baseline_id)


def retire(
    baseline_id: uuid.UUID, *, actor: Actor, request: HttpRequest | None = None
) -> Baseline:
    """Take an active baseline out of force; raise `Conflict` if it is not active."""
    with transaction.atomic():
        baseline = _found(baseline_id)
        if not Baseline.objects.retire(baseline_id, by=actor.name):
            raise Conflict(f"The baseline is {baseline.status}, not active")
        _audit("baseline.retire", baseline_id, actor, request)
    return Baseline.objects.get(pk=baseline_id)


def delete(
    baseline_id: uuid.UUID, *, actor: Actor, request: HttpRequest | None = None
) -> None:
    with transaction.atomic():
        if not Baseline.objects.filter(pk=baseline_id).delete()[0]:
            raise NotFound(NO_BASELINE)
        _audit("baseline.delete", baseline_id, actor, request)


def compare(left_id: uuid.UUID, right_id: uuid.UUID) -> dict[str, Any]:
    """Return how the right baseline differs from the left, as the drift of a scan.

    Raises `NotFound`; `Refused` for baselines of two types of scan; `Conflict` for one
    that an earlier release made.
    """
    left, right = _whole(left_id), _whole(right_id)
    if left.scan_type != right.scan_type:
        message = f"it is of a scan of type {right.scan_type}, not {left.scan_type}"
        raise Refused("right_id", message)
    try:
        found = comparing.of_documents(
            left.snapshot.get("document"),
            right.snapshot.get("document"),
            is_mcp=left.scan_type == TargetKind.MCP,
        )
    except Incomparable as error:
        raise Conflict(
            "An earlier release made one of the baselines: it holds no definitions"
        ) from error
    return {"baseline_id": left.pk, **comparing.listed(found)}


def _whole(baseline_id: uuid.UUID) -> Baseline:
    baseline = Baseline.objects.filter(pk=baseline_id).first()
    if baseline is None:
        raise NotFound(f"There is no baseline {baseline_id}")
    return baseline


def _found(baseline_id: uuid.UUID) -> Baseline:
    baseline = Baseline.objects.filter(pk=baseline_id).defer("snapshot").first()
    if baseline is None:
        raise NotFound(NO_BASELINE)
    return baseline


def _audit(
    action: str, baseline_id: uuid.UUID, actor: Actor, request: HttpRequest | None
) -> None:
    audit.record(
        action,
        actor=actor,
        object_type="baseline",
        object_id=str(baseline_id),
        request=request,
    )
