"""Start-up checks: is every scanner's tool installed, is the sandbox strong enough?"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register

from scanners.contract import ScannerMissing
from scanners.install import installed
from scanners.registry import SCANNERS


@register()
def tools_check(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """scanners.W001: a tool is missing or its environment is broken."""
    messages: list[CheckMessage] = []
    for scanner in SCANNERS.values():
        try:
            installed(scanner.name, settings.SCANNERS_DIR)
        except ScannerMissing as error:
            messages.append(
                Warning(
                    f"{scanner.name}: {error}",
                    hint="Run `make setup`. Until then its scans are inconclusive.",
                    id="scanners.W001",
                )
            )
    return messages
