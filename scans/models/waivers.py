"""Accepted risks, and which of them a verdict rests on."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import Exists, ExpressionWrapper, OuterRef, Q, Subquery, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from scans.choices import ScanStatus
from scans.ids import uuid7
from scans.models.runs import Finding
from scans.models.scans import Scan
from scans.models.targets import Target
from scans.waivers import EVERY_TARGET, FINGERPRINT, AcceptedRisk


class WaiverQuerySet(models.QuerySet["Waiver"]):
    def in_force(self) -> Self:
        # The database's clock: all processes then agree on the moment it ends.
        return self.filter(expires_at__gt=Now())

    def expired(self) -> Self:
        return self.filter(expires_at__lte=Now())

    def for_all(self) -> Self:
        return self.filter(target=EVERY_TARGET)

    def covering(self, target: str | Combinable) -> Self:
        """Waivers of this target and of all, whether in force or not."""
        return self.filter(Q(target=EVERY_TARGET) | Q(target=target))

    def of_findings(self, target: str = "") -> Self:
        """For a subquery of findings: the waivers in force of each, the widest first.

        `target` is the column with the target's name; "": that of the finding's scan.
        The order is that of `waivers.in_force`; a test holds the two together.
        """
        scan = OuterRef(OuterRef("scan_id"))
        return (
            self.in_force()
            .covering(OuterRef(target) if target else _target_of(scan))
            .filter(fingerprint=OuterRef("fingerprint"))
            .order_by("target", "-expires_at", "-waiver_id")
        )

    def stale(self) -> Self:
        """Waivers that match no finding in any target's newest completed scan."""
        return self.filter(~Q(_matches()))

    def matching(self) -> Self:
        return self.filter(_matches())

    def risks(self) -> list[AcceptedRisk]:
        names = tuple(AcceptedRisk.__dataclass_fields__)
        return [AcceptedRisk(**row) for row in self.values(*names)]


def _target_of(scan: OuterRef) -> Subquery:
    """For a subquery of findings: looked up where a fingerprint is waived at all.

    A join would be made for every finding, and for those that are only counted.
    """
    return Subquery(Scan.objects.filter(pk=scan).order_by().values("target")[:1])


def _matches() -> Coalesce:
    """For a queryset of waivers: does it match a finding of a newest completed scan?

    Asked row by row, which the `Coalesce` is for: a join could be planned as if it left
    nothing, and a page would wait for all waivers instead of a pageful of them.
    """
    whose = ExpressionWrapper(OuterRef("target"), output_field=models.CharField())
    found = (
        Finding.objects.order_by()
        .annotate(whose=whose)
        .filter(_of_newest(), fingerprint=OuterRef("fingerprint"))
        .filter(Q(whose=EVERY_TARGET) | Q(whose=_target_of(OuterRef("scan_id"))))
    )
    return Coalesce(Exists(found), Value(value=False))


def _of_newest() -> Q:
    """Findings of a completed scan than which its target has no newer one.

    By ids that are looked up once: a weakness is in every scan of its targets, and of
    each one it would have to be asked whether there is a newer.
    """
    targets = Target.objects.order_by()
    last = Scan.objects.filter(pk=OuterRef("last_scan_id"))
    # Whose last scan was deleted, or was none: another may be the newest.
    unsure = targets.filter(~Exists(last)).values("pk")
    recorded = targets.filter(last_scan_id__isnull=False).values("last_scan_id")
    others = _without_newer().values("pk")
    # Each by an index; one condition of both would be looked for in all scans.
    return (
        Q(scan_id__in=recorded)
        | Q(scan_id__in=others.filter(target_record=None))
        | Q(scan_id__in=others.filter(target_record__in=unsure))
    )


def _without_newer() -> models.QuerySet[Scan]:
    completed = Scan.objects.filter(scan_status=ScanStatus.COMPLETED).order_by()
    newer = completed.filter(
        target=OuterRef("target"),
        scan_type=OuterRef("scan_type"),
        created_at__gt=OuterRef("created_at"),
    )
    return completed.filter(~Exists(newer))


class Waiver(models.Model):
    """One weakness that somebody accepts, with a reason and until a moment.

    It is made and deleted and never edited: a longer one is a new one.
    """

    waiver_id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    fingerprint = models.CharField(max_length=70)
    # The name of the one target that it is for; "" is for all.
    target = models.CharField(max_length=500, blank=True)
    reason = models.TextField()
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.CharField(max_length=200, blank=True)

    objects = WaiverQuerySet.as_manager()

    class Meta:
        db_table = "waivers"
        ordering = ["-created_at", "-waiver_id"]
        indexes = [
            # The list of waivers, newest first.
            models.Index(
                fields=["-created_at", "-waiver_id"], name="scans_waiver_newest"
            ),
            # Each finding of a list: is it waived?
            models.Index(
                fields=["fingerprint", "expires_at"], name="scans_waiver_of_finding"
            ),
            # A scan that is judged: the waivers of its target, and of all.
            models.Index(
                fields=["target", "expires_at"], name="scans_waiver_of_target"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(fingerprint__regex=FINGERPRINT),
                name="scans_waiver_fingerprint_form",
            ),
            models.CheckConstraint(
                condition=~Q(reason=""), name="scans_waiver_has_reason"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.fingerprint} on {self.target or 'all targets'}"


class ScanWaiver(models.Model):
    """A waiver that covered a finding when its scan was judged, as it was then.

    A copy, and no key to the waiver: whoever deletes that one changes nothing of what
    was decided, and can always be told by whom a risk had been accepted.
    """

    scan = models.ForeignKey(
        "scans.Scan", models.DB_CASCADE, related_name="waivers", db_index=False
    )
    waiver_id = models.UUIDField()
    fingerprint = models.CharField(max_length=70)
    target = models.CharField(max_length=500, blank=True)
    reason = models.TextField()
    created_by = models.CharField(max_length=200, blank=True)
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "scan_waivers"
        constraints = [
            # What a verdict rests on; also what the cascade walks.
            models.UniqueConstraint(
                fields=["scan", "fingerprint"], name="scans_scanwaiver_once_per_scan"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.waiver_id} in {self.scan_id}"


# What /verdicts must know, of a scan that the outer query reads.


def lapsed() -> models.QuerySet[ScanWaiver]:
    """What the scan's verdict took as accepted everywhere and nobody accepts now."""
    still = Waiver.objects.in_force().for_all()
    return ScanWaiver.objects.filter(
        ~Exists(still.filter(fingerprint=OuterRef("fingerprint"))),
        scan=OuterRef("pk"),
        target=EVERY_TARGET,
    )


def added() -> models.QuerySet[Waiver]:
    """Waivers for all targets that cover a finding which the scan judged."""
    judged = Finding.objects.annotate(
        counted=Exists(
            ScanWaiver.objects.filter(
                scan=OuterRef("scan"),
                fingerprint=OuterRef("fingerprint"),
                target=EVERY_TARGET,
            )
        )
    ).filter(
        scan=OuterRef(OuterRef("pk")),
        fingerprint=OuterRef("fingerprint"),
        counted=False,
    )
    return Waiver.objects.in_force().for_all().filter(Exists(judged))
