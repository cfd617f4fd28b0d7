"""What an installation does not keep: old scans, submitted bytes, audit events.

Nothing of a scan that waits or runs goes, whatever the rules say. A baseline holds its
own copy of what it approved and stays in force; counters (`tallies`) stay too. What a
target's scans left in its memory outlives them, until it is over for as long.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, Model, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from apikeys import audit
from apikeys.audit import Actor
from apikeys.choices import ActorKind
from apikeys.models import AuditEvent
from scans import measures, retention
from scans.choices import ScanStatus
from scans.models import FINISHED, JUDGED, Scan, ScanFile, TargetFinding, Upload

logger = logging.getLogger(__name__)

CLOCK = Actor(ActorKind.SYSTEM, "retention")
# Readers of a million rows wait for none of these; a longer one would be felt.
BATCH = 500
# What is due goes in turns: the process of the clock also takes lost scans back.
TURN_SECONDS = 5.0
GRACE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Rules:
    """How long each kind is kept; None is for ever.

    `keep_last`: so many of the newest judged scans of each target stay at any age.
    Where only that is given, everything beyond goes at once.
    """

    scans: timedelta | None = None
    keep_last: int = 0
    uploads: timedelta | None = None
    audit: timedelta | None = None

    @classmethod
    def configured(cls) -> Rules:
        return cls(
            scans=settings.KEEP_SCANS,
            keep_last=settings.KEEP_SCANS_PER_TARGET if settings.KEEP_SCANS else 0,
            uploads=settings.KEEP_UPLOADS,
            audit=settings.KEEP_AUDIT,
        )

    @property
    def is_empty(self) -> bool:
        return self == Rules()

    def document(self) -> dict[str, int]:
        """Return what an audit event says of them."""
        ages = {"scans": self.scans, "uploads": self.uploads, "audit": self.audit}
        told = {
            f"{name}_older_than_seconds": int(age.total_seconds())
            for name, age in ages.items()
            if age is not None
        }
        return told | ({"keep_last": self.keep_last} if self.keep_last else {})


@dataclass(slots=True)
class Pruned:
    """How much went, or would go; `is_complete` is false when a turn ended before."""

    scans: int = 0
    files_of_scans: int = 0
    target_findings: int = 0
    audit_events: int = 0
    uploads: int = 0
    files: int = 0
    bytes: int = 0
    is_complete: bool = True


type Told = Callable[[Pruned], None]


def old_scans(rules: Rules) -> QuerySet[Scan]:
    """Return the finished scans that the rules give up."""
    scans = Scan.objects.filter(scan_status__in=FINISHED)
    if rules.scans is None and not rules.keep_last:
        return scans.none()
    scans = scans.filter(created_at__lt=_before(rules.scans)).order_by("created_at")
    if not rules.keep_last:
        return scans
    newer = Scan.objects.filter(
        Q(created_at__gt=OuterRef("created_at"))
        | Q(created_at=OuterRef("created_at"), pk__gt=OuterRef("pk")),
        target_record=OuterRef("target_record"),
        scan_status__in=JUDGED,
    )
    enough = newer.order_by("-created_at")[rules.keep_last - 1 : rules.keep_last]
    # A cancelled scan tells nothing of its target: it is not kept for that.
    return scans.filter(Q(scan_status=ScanStatus.CANCELLED) | Exists(enough))


def old_files(rules: Rules) -> QuerySet[ScanFile]:
    """Return what finished scans still hold of their submitted bytes, long enough."""
    if rules.uploads is None:
        return ScanFile.objects.none()
    return ScanFile.objects.filter(
        scan__scan_status__in=FINISHED, scan__created_at__lt=_before(rules.uploads)
    ).order_by("pk")


def over_for_long(rules: Rules) -> QuerySet[TargetFinding]:
    """Return what is remembered of findings that were resolved long enough ago."""
    if rules.scans is None:
        return TargetFinding.objects.none()
    over = TargetFinding.objects.filter(resolved_at__lt=_before(rules.scans))
    return over.order_by("resolved_at")


def of_old_targets(rules: Rules) -> QuerySet[TargetFinding]:
    """Return what is remembered of targets that nobody scans any more.

    Where the newest scans of a target are kept at any age, what they found is too.
    """
    if rules.scans is None or rules.keep_last:
        return TargetFinding.objects.none()
    old = TargetFinding.objects.filter(target__last_scan_at__lt=_before(rules.scans))
    return old.order_by("target__last_scan_at")


def old_events(rules: Rules) -> QuerySet[AuditEvent]:
    if rules.audit is None:
        return AuditEvent.objects.none()
    events = AuditEvent.objects.filter(created_at__lt=_before(rules.audit))
    return events.order_by("created_at")


def rehearse(rules: Rules) -> Pruned:
    """Count what would go, and the bytes that nothing would need any more."""
    going = old_scans(rules)
    files = old_files(rules)
    kept = ScanFile.objects.filter(upload=OuterRef("pk"))
    kept = kept.exclude(scan__in=going).exclude(pk__in=files)
    needless = Upload.objects.filter(~Exists(kept))
    return Pruned(
        scans=going.count(),
        files_of_scans=files.exclude(scan__in=going).count(),
        target_findings=(over_for_long(rules) | of_old_targets(rules)).count(),
        audit_events=old_events(rules).count(),
        uploads=needless.count(),
        bytes=needless.aggregate(all=Sum("size_bytes"))["all"] or 0,
    )


def prune(
    rules: Rules,
    *,
    actor: Actor,
    seconds: float | None = None,
    tell: Told = lambda pruned: None,
) -> Pruned:
    """Remove what the rules give up, in batches; then the bytes that nobody needs.

    Ends after `seconds` with `is_complete` false. `tell` is called after each batch.
    """
    ends_at = None if seconds is None else time.monotonic() + seconds
    pruned = Pruned()
    kinds: list[tuple[str, QuerySet[Model]]] = [
        ("scans", old_scans(rules)),
        ("files_of_scans", old_files(rules)),
        # Each by its own index: together they would read the whole table.
        ("target_findings", over_for_long(rules)),
        ("target_findings", of_old_targets(rules)),
        ("audit_events", old_events(rules)),
    ]
    for name, rows in kinds:
        for count in _in_batches(rows):
            setattr(pruned, name, getattr(pruned, name) + count)
            tell(pruned)
            if ends_at is not None and time.monotonic() > ends_at:
                pruned.is_complete = False
                break
    swept = retention.sweep(grace=GRACE)
    pruned.uploads, pruned.files = swept.uploads, swept.files
    pruned.bytes = swept.bytes
    _note(rules, pruned, actor)
    return pruned


def take_turn() -> Pruned:
    """Remove for a few seconds what the settings do not keep; the clock calls it."""
    return prune(Rules.configured(), actor=CLOCK, seconds=TURN_SECONDS)


def _in_batches(rows: QuerySet[Model]) -> Iterator[int]:
    """Delete `rows` in their order; yield how many went with each batch."""
    manager = rows.model._default_manager
    while batch := list(rows.values_list("pk", flat=True)[:BATCH]):
        with transaction.atomic():
            _, each = manager.filter(pk__in=batch).delete()
        # Asked for by name: what goes along with a row is not counted.
        yield each.get(rows.model._meta.label, 0)


def _note(rules: Rules, pruned: Pruned, actor: Actor) -> None:
    """Tell who looks later: what went, who asked, by which rules."""
    gone = {
        "scans": pruned.scans,
        "files_of_scans": pruned.files_of_scans,
        "target_findings": pruned.target_findings,
        "audit_events": pruned.audit_events,
    }
    if not any(gone.values()) and actor == CLOCK:
        return  # it comes every few minutes
    logger.info(
        "%s removed %s scans, the bytes of %s files of scans, what was remembered of "
        "%s findings, %s audit events",
        *(actor.name, *gone.values()),
    )
    with transaction.atomic():
        audit.record(
            "scan.prune",
            actor=actor,
            object_type="scan",
            object_id="*",
            detail={
                **rules.document(),
                **gone,
                "uploads": pruned.uploads,
                "files": pruned.files,
            },
        )
        measures.count_pruned(gone)


def _before(age: timedelta | None) -> datetime:
    return timezone.now() - (age or timedelta(0))
