"""What a door may ask for a scan: submit, cancel, run again, delete."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from apikeys import audit
from apikeys.audit import Actor
from scanners import documents
from scanners.contract import TargetKind
from scanners.placement import safe_name
from scanners.registry import scanners_for
from scanners.workspace import WorkspaceError, inside_roots
from scans import fetching, storage, tasks
from scans.choices import Conflict, Gone, NotFound, Refused, ScanStatus
from scans.models import (
    Policy,
    Scan,
    ScanDetail,
    ScanFile,
    Target,
    Upload,
)
from scans.storage import Received

MAX_NAME = 500
MAX_LABELS = 32
LABEL = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


@dataclass(frozen=True, slots=True)
class Submission:
    """One request for a scan, as a door read it.

    Exactly one of `files`, `document` (raw MCP pieces), `source` (a path, or where it
    is) says what. `source` may hold a token in its query: it is stored, never served.
    """

    scan_type: TargetKind
    target: str = ""
    files: tuple[Received, ...] = ()
    document: Mapping[str, Any] | None = None
    source: str = ""
    policy: str = "default"
    scanners: tuple[str, ...] | None = None
    timeout_seconds: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    introspect: bool = False
    introspect_network: bool = False
    traceparent: str = ""


def submit(
    submission: Submission, *, actor: Actor, request: HttpRequest | None = None
) -> Scan:
    """Check, store and queue one scan; raise `Refused` naming the field to mend.

    Received files are always consumed: stored, or removed when refused.
    """
    stored: list[Received] = list(submission.files)
    try:
        storage.check_space()
        submission = _checked(submission)
        if submission.document is not None:
            stored.append(_stored_document(submission.document))
            submission = replace(submission, files=tuple(stored))
        policy = Policy.objects.newest(submission.policy)
        if policy is None:
            raise Refused("policy", f"there is no policy {submission.policy!r}")
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


def rescan(
    scan_id: uuid.UUID,
    *,
    fresh: bool,
    actor: Actor,
    request: HttpRequest | None = None,
) -> Scan:
    """Scan the same source again under the policy's newest version.

    Raises `NotFound`, or `Gone` when the submitted bytes have been removed.
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
        _audit("scan.rescan", scan.pk, actor, request, of=str(scan_id))
        transaction.on_commit(partial(tasks.announce, scan.pk))
    return scan


def delete(
    scan_ids: Sequence[uuid.UUID],
    *,
    actor: Actor,
    request: HttpRequest | None = None,
) -> int:
    """Delete scans in any state; a running one's tools are killed by its worker."""
    with transaction.atomic():
        count = Scan.objects.filter(pk__in=scan_ids).delete()[0]
        for scan_id in scan_ids:
            _audit("scan.delete", scan_id, actor, request)
    return count


def _checked(submission: Submission) -> Submission:
    """Return the submission with its target named, or raise `Refused`."""
    kind = submission.scan_type
    _check_options(submission)
    for received in submission.files:
        _check_file_name(received.name)
    _check_names_together([received.name for received in submission.files])
    if kind is TargetKind.MCP:
        submission = _checked_document(submission)
    elif submission.document is not None:
        raise Refused("config", "a model scan takes a file or a path")
    elif submission.source:
        submission = _checked_source(submission)
    elif not submission.files:
        raise Refused("target", "send a file, or name a path or an address")
    name = submission.target or _default_name(submission)
    if len(name) > MAX_NAME or not name.isprintable():
        raise Refused("target", f"a name has at most {MAX_NAME} printable characters")
    return replace(submission, target=name)


def _check_file_name(name: str) -> None:
    try:
        safe_name(name)
    except ValueError as error:
        raise Refused("file", str(error)) from error
    if len(name) > MAX_NAME:
        raise Refused("file", f"a file name has at most {MAX_NAME} characters")


def _check_names_together(names: Sequence[str]) -> None:
    files = {PurePosixPath(name) for name in names}
    if len(files) < len(names):
        raise Refused("file", "two files have the same name")
    folders = {folder for file in files for folder in file.parents}
    if both := sorted(map(str, files & folders)):
        raise Refused("file", f"{both[0]} cannot be a file and a folder at once")


def _default_name(submission: Submission) -> str:
    if not submission.files:
        return "mcp"
    return submission.files[0].name.rpartition("/")[2]


def _check_options(submission: Submission) -> None:
    if submission.scanners is not None:
        fitting = {scanner.name for scanner in scanners_for(submission.scan_type)}
        unknown = [name for name in submission.scanners if name not in fitting]
        if unknown or not submission.scanners:
            known = ", ".join(sorted(fitting))
            raise Refused("scanners", f"name some of: {known}")
    seconds = submission.timeout_seconds
    if seconds is not None and not 1 <= seconds <= settings.SCAN_TIMEOUT_SECONDS:
        raise Refused(
            "timeout_seconds", f"must be from 1 to {settings.SCAN_TIMEOUT_SECONDS}"
        )
    if len(submission.labels) > MAX_LABELS:
        raise Refused("labels", f"at most {MAX_LABELS}")
    for key, value in submission.labels.items():
        if not LABEL.fullmatch(key) or not LABEL.fullmatch(value):
            raise Refused("labels", "keys and values are 1 to 200 characters")
    if submission.introspect:
        if settings.MCP_INTROSPECTION != "sandboxed":
            raise Refused(
                "introspect",
                "servers are not started here: the operator has not allowed it",
            )
        if submission.scan_type is not TargetKind.MCP:
            raise Refused("introspect", "only for scan_type mcp")
    if submission.introspect_network:
        if not submission.introspect:
            raise Refused("introspect_network", "only with introspect: true")
        if not fetching.may_servers_have_network():
            raise Refused(
                "introspect_network",
                "servers get no network here: the operator has not allowed it",
            )


def _checked_source(submission: Submission) -> Submission:
    if submission.files:
        raise Refused("target", "send either a file or a path, not both")
    if fetching.is_remote(submission.source):
        fetching.check(submission.source)
        shown = fetching.masked(submission.source)
        return replace(submission, target=submission.target or shown)
    try:
        real = inside_roots(submission.source, settings.SCAN_ROOTS)
    except WorkspaceError as error:
        raise Refused("target", str(error)) from error
    # One path has one name, however it is spelled: baselines go by it.
    name = submission.target or os.path.normpath(submission.source)
    return replace(submission, source=str(real), target=name)


def _checked_document(submission: Submission) -> Submission:
    """Check the shape now, so that the client hears of it now."""
    if submission.source:
        raise Refused("server_url", "this server contacts no remote servers")
    if (submission.document is None) == (not submission.files):
        raise Refused("config", "send a configuration, a tool list or one file")
    if len(submission.files) > 1 and not submission.introspect:
        raise Refused("file", "send one configuration file")
    size = max((received.size_bytes for received in submission.files), default=0)
    if size > settings.MAX_DOCUMENT_BYTES:
        most = settings.MAX_DOCUMENT_BYTES
        raise Refused("file", f"a document has at most {most} bytes", status=413)
    try:
        if submission.document is not None:
            document = documents.read_document(submission.document)
        else:
            document = documents.read_document(submission.files[0].path.read_bytes())
        documents.canonical(document)
    except ValueError as error:
        is_file = submission.document is None
        pointer = getattr(error, "pointer", "").strip("/")
        place = "file" if is_file else pointer or "config"
        message = str(error) if is_file else getattr(error, "message", str(error))
        raise Refused(place, message) from error
    if submission.introspect:
        _check_introspectable(document)
    return submission


def _check_introspectable(document: Mapping[str, Any]) -> None:
    if not documents.servers_of(document):
        raise Refused("introspect", "there is no configuration with servers to start")
    if any(document[name] for name in (*documents.LISTS, "instructions")):
        raise Refused("introspect", "the servers are asked for their lists; send none")


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
    _audit("scan.submit", scan.pk, actor, request, target=scan.target)
    transaction.on_commit(partial(tasks.announce, scan.pk))
    return scan


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
