"""The closed vocabularies of a scan's life."""

from django.db.models import TextChoices


class ScanStatus(TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"  # the pipeline came to its end, whatever the tools did
    FAILED = "failed"  # the source could not be had, or we broke; judged inconclusive
    CANCELLED = "cancelled"  # no verdict


class RunStatus(TextChoices):
    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    SKIPPED = "skipped"


class Verdict(TextChoices):
    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class BaselineStatus(TextChoices):
    PROPOSED = "proposed"
    ACTIVE = "active"
    RETIRED = "retired"
