"""System checks of who may call us."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

from apikeys.addresses import trusted_networks


@register()
def check_trusted_proxies(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    try:
        trusted_networks(tuple(settings.TRUSTED_PROXIES))
    except ImproperlyConfigured as error:
        return [
            Error(
                str(error),
                hint="Give addresses or networks, such as 10.0.0.5,172.16.0.0/12.",
                id="apikeys.E001",
            )
        ]
    return []
