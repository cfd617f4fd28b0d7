"""How often a key may call: counted in the cache that all replicas share.

`RateLimit-Policy` and `RateLimit` as in draft-ietf-httpapi-ratelimit-headers-10. The
windows are those of the clock, and a quota of 200 or more holds to a hundredth for each
process (`tallies`). A cache that is away lets requests through: limits
protect the service, they do not guard its data.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle

from apikeys.models import ApiKey
from sentrascan_project.counting import count

if TYPE_CHECKING:
    # DRF's views import this module: it is named in their settings.
    from rest_framework.views import APIView

logger = logging.getLogger(__name__)

PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
# How long a cache that did not answer is left alone: nobody waits for it meanwhile.
PAUSE_SECONDS = 5


class KeyRateThrottle(BaseThrottle):
    """`settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]["key"]`, such as `600/min`."""

    _asleep_until = 0.0

    def allow_request(self, request: Request, view: APIView) -> bool:
        key = request.auth
        if not isinstance(key, ApiKey):
            return True
        quota, window = rate()
        self._reset = window - time.time() % window
        used = self._count(str(key.pk), window, quota)
        if used is None:
            return True
        view.headers.update(headers(quota, window, quota - used, self._reset))
        return used <= quota

    def wait(self) -> float:
        return math.ceil(self._reset)

    def _count(self, ident: str, window: int, quota: int) -> int | None:
        """Return how many requests this one makes; None when nobody can say."""
        if time.monotonic() < KeyRateThrottle._asleep_until:
            return None
        try:
            return count(f"rate-{ident}", int(time.time() // window), window, quota)
        except (RedisError, OSError) as error:
            KeyRateThrottle._asleep_until = time.monotonic() + PAUSE_SECONDS
            logger.warning("Rate limits are off, the cache is away: %s", error)
            return None


def rate() -> tuple[int, int]:
    """Return requests and seconds; raise `ValueError` when the setting is malformed."""
    text = str(api_settings.DEFAULT_THROTTLE_RATES["key"])
    quota, _, period = text.partition("/")
    if period[:1] not in PERIODS or int(quota) < 1:
        raise ValueError(f"SENTRASCAN_RATE_LIMIT: {text!r} is not like 600/min")
    return int(quota), PERIODS[period[0]]


def headers(quota: int, window: int, left: int, reset: float) -> dict[str, str]:
    return {
        "RateLimit-Policy": f'"default";q={quota};w={window}',
        "RateLimit": f'"default";r={max(0, left)};t={math.ceil(reset)}',
    }
