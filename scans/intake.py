"""What a door may ask for a scan: submit, cancel, run again, delete."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from apikeys import audit
from apikeys.audit import Actor
from scans import fetching, measures, request_headers, storage, tasks
from scans.choices import Conflict, Gone, NotFound, Refused, ScanStatus
from scans.models import (
    Policy,
    PolicyDefault,
    Scan,
    ScanDetail,
    ScanFile,
    Target,
    Upload,
)
from scans.storage import Received
from scans.submissions import Submission, checked

logger = logging.getLogger(__name__)


def submit(
    submission: Submission, *, actor: Actor, request: HttpRequest | None = None
) -> Scan:
    """Check, store and queue one scan; raise `Refused` naming the field to mend.

    Received files are always consumed: stored, or removed when refused.
    """
    stored: list[Received] = list(submission.files)
    try:
        storage.check_space()
        submission = checked(submission)
        if submission.document is not None:
            stored.append(_stored_document(submission.document))
            submission = replace(submission, files=tuple(stored))
        name = submission.policy or PolicyDefault.objects.policy_for(
            submission.scan_type, submission.target
        )
        policy = Policy.objects.newest(name)
        if policy is None:
            raise Refused("policy", f"there is no policy {name!r}")
        with transaction.atomic():
            return _create(submission, policy, actor, request)
    except storage.InsufficientSpace as error:
        raise Refused("file", str(error), status=507) from error
    finally:
        for received in stored:
            received.discard()


def cancel(
    scan_id: uuid.UUID, *, actor: Actor, request: HttpRequest | None = None
) -> None:
    """End a queued or running scan; raise `Conflict` when it is over already."""
    with transaction.atomic():
        if not Scan.objects.cancel(scan_id):
            if not Scan.objects.filter(pk=scan_id).exists():
                raise NotFound("There is no such scan")
            raise Conflict("The scan is already finished")
        _audit("scan.cancel", scan_id, actor, request)
        scan_type = Scan.objects.filter(pk=scan_id).values_list("scan_type", flat=True)
        measures.count_cancelled(scan_type.get())


def rescan(
    scan_id: uuid.UUID,
    *,
    fresh: bool,
    actor: Actor,
    request: HttpRequest | None = None,
) -> Scan:
    """Scan the same source again under the policy's newest version.

    Raises `NotFound`, or `Gone` when the submitted bytes or headers have been removed.
    """
    old = Scan.objects.select_related("detail").filter(pk=scan_id).first()
    if old is None:
        raise NotFound("There is no such scan")
    names = list(old.files.values_list("name", "upload_id"))
    if not old.detail.options.get("source") and not names:
        raise Gone("The submitted bytes have been removed")
    policy = Policy.objects.newest(old.policy_name)
    if policy is None:
        raise Gone(f"The policy {old.policy_name!r} no longer exists")
    with transaction.atomic():
        scan = _insert(
            scan_type=old.scan_type,
            target=old.target,
            policy=policy,
            actor=actor,
            detail={
                "labels": old.detail.labels,
                "options": {**old.detail.options, "fresh": fresh},
            },
        )
        _reuse(scan, names)
        if old.detail.options.get("has_headers"):
            request_headers.pass_on(old.pk, scan.pk)
        _audit("scan.rescan", scan.pk, actor, request, of=str(scan_id))
        _ring_after_commit(scan)
    return scan


def delete(
    scan_ids: Sequence[uuid.UUID],
    *,
    actor: Actor,
    request: HttpRequest | None = None,
) -> int:
    """Delete scans in any state; a running one's tools are killed by its worker.

    Returns how many there were: somebody may have deleted some of them just before.
    """
    with transaction.atomic():
        held = Scan.objects.select_for_update(of=("self",)).filter(pk__in=scan_ids)
        # In one order, so that two that delete the same ones wait and do not clash.
        present = list(held.order_by("pk").values_list("pk", flat=True))
        Scan.objects.filter(pk__in=present).delete()
        for scan_id in present:
            _audit("scan.delete", scan_id, actor, request)
    return len(present)


def _stored_document(document: Mapping[str, Any]) -> Received:
    raw = json.dumps(document, ensure_ascii=True).encode()
    return storage.receive("document.json", raw)


def _create(
    submission: Submission,
    policy: Policy,
    actor: Actor,
    request: HttpRequest | None,
) -> Scan:
    options = {
        "source": submission.source,
        "has_headers": bool(submission.headers),
        "scanners": list(submission.scanners) if submission.scanners else None,
        "timeout_seconds": submission.timeout_seconds,
        "introspect": submission.introspect,
        "introspect_network": submission.introspect_network,
        # which of the files it is: the others are the sources of its servers
        "document": submission.files[0].name if submission.introspect else "",
    }
    scan = _insert(
        scan_type=submission.scan_type,
        target=submission.target,
        policy=policy,
        actor=actor,
        detail={
            "labels": dict(submission.labels),
            "options": options,
            "traceparent": submission.traceparent,
        },
    )
    _store(scan, submission.files)
    if submission.headers:
        url = fetching.server_at(submission.source)
        origin = fetching.origin_of(url)
        request_headers.keep(scan.pk, submission.headers, origin=origin)
    _audit("scan.submit", scan.pk, actor, request, target=scan.target)
    _ring_after_commit(scan)
    return scan


def _ring_after_commit(scan: Scan) -> None:
    # The one line with both ids: what the client sent, and what the worker logs.
    said = partial(logger.info, "Scan %s is queued", scan.pk)
    transaction.on_commit(partial(said, extra={"scan_id": str(scan.pk)}))
    transaction.on_commit(partial(tasks.announce, scan.pk))


def _insert(
    *,
    scan_type: str,
    target: str,
    policy: Policy,
    actor: Actor,
    detail: dict[str, Any],
) -> Scan:
    record, _ = Target.objects.get_or_create(scan_type=scan_type, name=target)
    scan = Scan.objects.create(
        scan_type=scan_type,
        target=target,
        target_record=record,
        policy=policy,
        policy_name=policy.name,
        policy_version=policy.version,
        requested_by=actor.name,
        scan_status=ScanStatus.QUEUED,
    )
    scan.detail = ScanDetail.objects.create(scan=scan, **detail)
    return scan


def _store(scan: Scan, files: Sequence[Received]) -> None:
    """Keep the bytes. Rows are taken in one order, or two clients would deadlock."""
    for received in sorted(files, key=lambda file: file.sha256):
        upload, is_new = Upload.objects.get_or_create(
            sha256=received.sha256, defaults={"size_bytes": received.size_bytes}
        )
        if not is_new:
            _touch(upload.pk)
        storage.keep(received)
        ScanFile.objects.create(scan=scan, upload=upload, name=received.name)


def _reuse(scan: Scan, names: Sequence[tuple[str, uuid.UUID]]) -> None:
    for name, upload_id in sorted(names, key=lambda pair: str(pair[1])):
        _touch(upload_id)
        upload = Upload.objects.filter(pk=upload_id).first()
        if upload is None or not storage.path_of(upload.sha256).exists():
            raise Gone("The submitted bytes have been removed")
        ScanFile.objects.create(scan=scan, upload=upload, name=name)


def _touch(upload_id: uuid.UUID) -> None:
    # The update also locks the row, so that retention waits for this transaction.
    Upload.objects.filter(pk=upload_id).update(last_used_at=timezone.now())


def _audit(
    action: str,
    scan_id: uuid.UUID,
    actor: Actor,
    request: HttpRequest | None,
    **detail: str,
) -> None:
    audit.record(
        action,
        actor=actor,
        object_type="scan",
        object_id=str(scan_id),
        detail=detail,
        request=request,
    )
