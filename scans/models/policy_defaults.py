"""Which policy judges what is submitted without the name of one."""

from __future__ import annotations

from fnmatch import fnmatchcase

from django.db import models
from django.db.models import Q
from django.utils import timezone

from scanners.contract import TargetKind
from scans.ids import uuid7
from scans.models.policies import BUILT_IN

EVERY_TARGET = "*"


class PolicyDefaultQuerySet(models.QuerySet["PolicyDefault"]):
    def policy_for(self, scan_type: str, target: str) -> str:
        """Return the name of the policy for a target whose scan names none.

        Of the patterns that match, the longest decides: it says most. Of two of one
        length it is the first in the order of letters, so that it is always the same.
        """
        rows = self.filter(scan_type=scan_type).values_list("pattern", "policy_name")
        fitting = [row for row in rows if fnmatchcase(target, row[0])]
        fitting.sort(key=lambda row: (-len(row[0]), row[0]))
        return fitting[0][1] if fitting else BUILT_IN


class PolicyDefault(models.Model):
    """For targets of one type whose names match: this policy, in its newest version."""

    policy_default_id = models.UUIDField(
        primary_key=True, default=uuid7, editable=False
    )
    scan_type = models.CharField(max_length=10, choices=TargetKind)
    # As of a shell: * ? [..], over the whole name, with regard to case.
    pattern = models.CharField(max_length=200, default=EVERY_TARGET)
    policy_name = models.CharField(max_length=100)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.CharField(max_length=200, blank=True)

    objects = PolicyDefaultQuerySet.as_manager()

    class Meta:
        db_table = "policy_defaults"
        ordering = ["scan_type", "pattern"]
        constraints = [
            # Also what a submission reads: all of one type.
            models.UniqueConstraint(
                fields=["scan_type", "pattern"], name="scans_policydefault_once"
            ),
            models.CheckConstraint(
                condition=Q(scan_type__in=TargetKind.values),
                name="scans_policydefault_type_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.policy_name} for {self.scan_type} {self.pattern}"
