"""Which sandbox this process uses: the strongest that works, chosen once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from django.conf import settings
from scanners.sandbox import Rung, probe

from scanners.contract import ScannerError


@dataclass(frozen=True, slots=True)
class ChosenRung:
    rung: Rung
    is_required: bool

    @property
    def name(self) -> str:
        return str(self.rung.value)

    @property
    def is_enough(self) -> bool:
        return not self.is_required or self.rung is not Rung.RLIMITS

    def require(self) -> Rung:
        """Return the rung; raise `ScannerError` where it is weaker than asked for."""
        if not self.is_enough:
            raise ScannerError(
                "this host cannot isolate it (no Landlock, no bubblewrap), and "
                "SENTRASCAN_SANDBOX=required forbids to run it without"
            )
        return self.rung


@cache
def _strongest() -> Rung:
    return probe()


def chosen_rung() -> ChosenRung:
    return ChosenRung(_strongest(), is_required=settings.SANDBOX == "required")
