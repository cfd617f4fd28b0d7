"""Which sandbox this process uses: the strongest that works, chosen once."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from scanners.contract import ScannerError
from scanners.sandbox import Rung, climb


@dataclass(frozen=True, slots=True)
class ChosenRung:
    """The rung of this process; `rung` is None where not even the lowest one works."""

    rung: Rung | None
    is_required: bool

    @property
    def name(self) -> str:
        return self.rung.value if self.rung else "none"

    @property
    def is_enough(self) -> bool:
        weak = (None, Rung.RLIMITS) if self.is_required else (None,)
        return self.rung not in weak

    @property
    def usable(self) -> Rung | None:
        """The rung that `require` returns, None where it raises."""
        return self.rung if self.is_enough else None

    @property
    def guards_files(self) -> bool:
        """Whether a tool cannot change what it is shown, nor reach anything else."""
        return self.rung not in (None, Rung.RLIMITS)

    def require(self) -> Rung:
        """Return the rung; raise `ScannerError` where it is weaker than asked for."""
        if self.rung is None:
            raise ScannerError("no sandbox works on this host, so it was not started")
        if not self.is_enough:
            raise ScannerError(
                "this host cannot isolate it (no Landlock, no bubblewrap), and "
                "SENTRASCAN_SANDBOX=required forbids to run it without"
            )
        return self.rung


def chosen_rung() -> ChosenRung:
    return ChosenRung(climb()[0], is_required=settings.SANDBOX == "required")
