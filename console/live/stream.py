"""Tell a page that gets no socket the same in server-sent events.

A stream ends after a while, and the page comes again with its cursor: proxies and servers that stop wait no longer.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

from django.db import Error
from django.http import StreamingHttpResponse

from console.live.changes import Subscription
from console.live.telling import Watcher, telling
from runtime.exceptions import RoostError

STREAM_SECONDS = 60.0
OPENING = b": here\n\n"

logger = logging.getLogger("roost.live")


def event_stream(subscription: Subscription, watcher: Watcher) -> StreamingHttpResponse:
    """Return the stream, for an asynchronous server."""
    headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
    return StreamingHttpResponse(_pieces(subscription, watcher), content_type="text/event-stream", headers=headers)


async def _pieces(subscription: Subscription, watcher: Watcher) -> AsyncIterator[bytes]:
    ends_at = time.monotonic() + STREAM_SECONDS
    yield OPENING
    try:
        async with aclosing(telling(subscription, watcher)) as told:
            async for said in told:
                yield f"data: {json.dumps(said)}\n\n".encode()
                if time.monotonic() >= ends_at:
                    return
    except (Error, RoostError):
        logger.warning("a live page could not be told of changes", exc_info=True)
