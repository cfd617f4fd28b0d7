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


class Refused(ValueError):
    """What was asked for cannot be done as asked; `field` says what to mend."""

    def __init__(self, field: str, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.field = field
        self.message = message
        self.status = status


class NotFound(LookupError):
    """There is no such row."""


class Conflict(Exception):
    """The row is in a state that does not allow this."""


class Outdated(Exception):
    """The author has seen an older version than the one that is in force."""


class Gone(Exception):
    """The bytes that this needs have been removed."""
