"""Count the requests of each caller and refuse those beyond `ROOST_API_REQUESTS_PER_MINUTE`.

One counter a caller and minute, in Django's cache `ROOST_API_CACHE`: a cache that processes share counts for all of
them, one in memory for each by itself. A cache that fails lets everybody through: the API does not go down with it.
"""

from __future__ import annotations

import logging
import time

from django.core.cache import caches

from console.api.problems import Refusal
from runtime.conf import settings as roost

MINUTE = 60

logger = logging.getLogger("roost.api")


def take(key: str) -> None:
    """Count a request of this caller. Raises `Refusal` (429, with Retry-After) for one too many."""
    most: int | None = roost.API_REQUESTS_PER_MINUTE
    if most is None:
        return
    now = time.time()
    if _count(f"roost:api:{key}:{int(now // MINUTE)}") > most:
        wait = MINUTE - int(now % MINUTE)
        detail = f"More than {most} requests in a minute. Go on in {wait} seconds."
        raise Refusal(429, "throttled", detail, headers={"Retry-After": str(wait)})


def _count(place: str) -> int:
    try:
        cache = caches[roost.API_CACHE]
        if cache.add(place, 1, timeout=2 * MINUTE):
            return 1
        return int(cache.incr(place))
    except ValueError:
        return 1  # it was dropped in between
    except Exception:  # caches raise what they like, and none of it may take the API down
        logger.warning("the cache %s does not count requests", roost.API_CACHE, exc_info=True)
        return 0
