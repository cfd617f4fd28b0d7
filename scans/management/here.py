"""This installation as a door: through intake, without a server."""

from __future__ import annotations

import json
import os
import threading
import uuid
from contextlib import suppress

from django.conf import settings
from django.db import connection, connections

from apikeys.audit import COMMAND_LINE
from scans import intake, pipeline, storage
from scans.attestation import issuing
from scans.choices import Conflict, NotFound, Refused, ScanStatus
from scans.exports.forms import FORMS
from scans.exports.json_text import dump
from scans.exports.reading import Torn, read_report
from scans.exports.shapes import FINDINGS, finding_shape, read_scan_detail
from scans.management.doors import Document, Moved, Rejected
from scans.management.orders import Order, Part
from scans.management.remote import COMMAND_LINE_FIELDS
from scans.models import Scan, Worker, worker_name
from scans.sealing import KeyLost
from scans.storage import Received
from scans.submissions import Submission

CHUNK = 1 << 20


class Here:
    """Scans of this installation; run in this process while no worker is live."""

    def __init__(self) -> None:
        self._asked_for: list[str] = []
        self._running: threading.Thread | None = None

    def submit(self, order: Order, moved: Moved) -> Document:
        options = order.options
        received: list[Received] = []
        try:
            for part in order.parts:
                received.append(_receive(part, moved))
            scan = intake.submit(
                Submission(
                    scan_type=order.kind,
                    target=order.target,
                    files=tuple(received),
                    policy=options.policy or "",
                    timeout_seconds=options.timeout_seconds,
                    labels=options.labels,
                ),
                actor=COMMAND_LINE,
            )
        except Refused as error:
            field = error.field
            raise Rejected(
                f"{field}: {error.message}", is_usage=field in COMMAND_LINE_FIELDS
            ) from error
        except storage.InsufficientSpace as error:
            raise Rejected(str(error)) from error
        except storage.TooLarge as error:
            raise Rejected(f"{order.target} is {error}") from error
        finally:
            for file in received:
                file.discard()
        self._asked_for.append(str(scan.pk))
        return _found(scan.pk)

    def scan(self, scan_id: str) -> Document:
        return _found(uuid.UUID(scan_id))

    def findings(self, scan_id: str) -> list[Document]:
        rows = FINDINGS.filter(scan=uuid.UUID(scan_id))
        return [as_answered(finding_shape(row)) for row in rows]

    def report(self, scan_id: str, form: str) -> bytes:
        try:
            document = FORMS[form].write(read_report(uuid.UUID(scan_id)))
            return b"".join(document)
        except (NotFound, Conflict, Torn) as error:
            raise Rejected(str(error)) from error

    def attestation(self, scan_id: str) -> bytes:
        try:
            return dump(issuing.attest(uuid.UUID(scan_id))) + b"\n"
        except (NotFound, Conflict, KeyLost) as error:
            raise Rejected(str(error)) from error

    def attestation_key(self) -> bytes:
        try:
            return str(issuing.public_key()["public_key"]).encode()
        except KeyLost as error:
            raise Rejected(str(error)) from error

    def cancel(self, scan_id: str) -> None:
        connection.close()  # an interrupt may have left it in the middle of a query
        with suppress(Conflict, NotFound):
            intake.cancel(uuid.UUID(scan_id), actor=COMMAND_LINE)
        if self._running is not None:
            # It sees the cancelled row within a second and kills its tools.
            self._running.join(timeout=5)

    def work(self) -> None:
        """Run a queued scan in this process when no worker is there to do it."""
        if self._running is not None and self._running.is_alive():
            return
        if Worker.objects.live().exists():
            return
        queued = Scan.objects.filter(
            pk__in=self._asked_for, scan_status=ScanStatus.QUEUED
        )
        scan_id = queued.order_by("created_at").values_list("pk", flat=True).first()
        if scan_id is not None:
            self._running = threading.Thread(target=_run, args=[scan_id])
            self._running.start()


def _run(scan_id: uuid.UUID) -> None:
    owner = f"{worker_name(os.getpid())}/{uuid.uuid4().hex[:8]}"
    try:
        pipeline.run(scan_id, owner=owner)
    finally:
        connections.close_all()


def _receive(part: Part, moved: Moved) -> Received:
    receiver = storage.Receiver(part.name, limit=settings.MAX_UPLOAD_BYTES)
    try:
        with part.path.open("rb") as file:
            while chunk := file.read(CHUNK):
                receiver.write(chunk)
                moved(len(chunk))
    except OSError as error:
        receiver.discard()
        raise Rejected(f"{part.path}: cannot be read: {error.strerror}") from error
    return receiver.finish()


def _found(scan_id: uuid.UUID) -> Document:
    scan = read_scan_detail(scan_id)
    if scan is None:
        raise Rejected("The scan has been deleted meanwhile")
    return as_answered(scan)


def as_answered(document: Document) -> Document:
    """Return what a client of the API would have read."""
    answered: Document = json.loads(dump(document))
    return answered
