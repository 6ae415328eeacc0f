"""Hint to open pages that something changed, so that they look at once and not only within the second.

A hint is a courtesy, as one of `runtime.wake` is: what changed is read from the events through a cursor, and whoever
shows pages looks every second anyway. A process sends one in `HINT_SECONDS` at the most, the first of a burst at once;
who hears it looks again when that time is over, so that the burst's end is not missed. On PostgreSQL a hint is a
NOTIFY in a statement of its own; where a channel layer reaches other processes, it is a message to a group, too.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import Any

from channels.layers import DEFAULT_CHANNEL_LAYER, get_channel_layer
from django.conf import settings

from runtime import wake

CHANNEL = "roost_live"
GROUP = "roost.live"
MESSAGE = {"type": "roost.live"}
HINT_SECONDS = 0.25
LINGER_SECONDS = 2.0
SEND_SECONDS = 5.0

logger = logging.getLogger("roost.live")
_sent: dict[str, float] = {}


def told(using: str) -> None:
    """Tell those who show pages that something committed in this database. Call after the commit."""
    now = time.monotonic()
    if _sent.get(using, float("-inf")) + HINT_SECONDS > now:
        return
    _sent[using] = now
    wake.send(using, CHANNEL, "")
    if layer() is not None:
        _courier.send()


def layer() -> Any:
    """Return the channel layer that reaches other processes, None where there is none."""
    configured: dict[str, Any] = getattr(settings, "CHANNEL_LAYERS", {}).get(DEFAULT_CHANNEL_LAYER, {})
    if str(configured.get("BACKEND", "InMemoryChannelLayer")).endswith("InMemoryChannelLayer"):
        return None
    return get_channel_layer()


class _Courier:
    """Sends over the channel layer: from one thread with one event loop, so that its connections are made once.

    It ends when there was nothing to send for a while; a layer that does not answer holds nobody up.
    """

    def __init__(self) -> None:
        self._due = threading.Event()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None

    def send(self) -> None:
        """Send soon."""
        self._due.set()
        with self._guard:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="roost-live", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            while self._due.wait(LINGER_SECONDS):
                self._due.clear()
                runner.run(_send())


async def _send() -> None:
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await layer().group_send(GROUP, MESSAGE)
    except Exception:
        logger.info("a hint could not be sent over the channel layer", exc_info=True)


_courier = _Courier()
