"""Hint to workers that there may be something to do.

Hints are a courtesy: nothing depends on one arriving, since every worker looks by itself at least once a second.
On PostgreSQL a hint is a NOTIFY in a statement of its own, outside the write that it tells of; hints of one process
are coalesced, and the trailing one is always sent. Elsewhere a worker in the same process is woken directly and the
others poll.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable

from django.db import DatabaseError, connections

CHANNEL = "roost_wake"
RECALL = "recall:"
COALESCE_SECONDS = 0.005

logger = logging.getLogger("roost.wake")
_local_listeners: list[Callable[[str], None]] = []


class _Coalescer:
    """Sends at most one hint per interval and database, and always the last one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent: dict[str, float] = {}
        self._timers: set[str] = set()

    def hint(self, using: str) -> None:
        with self._lock:
            if using in self._timers:
                return
            wait = self._sent.get(using, 0.0) + COALESCE_SECONDS - time.monotonic()
            if wait > 0:
                self._timers.add(using)
                timer = threading.Timer(wait, self._trailing, (using,))
                timer.daemon = True
                timer.start()
                return
            self._sent[using] = time.monotonic()
        notify(using, "")

    def _trailing(self, using: str) -> None:
        with self._lock:
            self._timers.discard(using)
            self._sent[using] = time.monotonic()
        try:
            notify(using, "")
        finally:
            connections[using].close()


_coalescer = _Coalescer()


def hint(using: str) -> None:
    """Tell workers to look for due items. Call after the commit."""
    _coalescer.hint(using)


def recall(using: str, item: uuid.UUID) -> None:
    """Tell the worker that holds the item to look at its leases now. Call after the commit."""
    notify(using, f"{RECALL}{item}")


def listen_locally(listener: Callable[[str], None]) -> Callable[[], None]:
    """Call `listener(payload)` for hints made in this process; return what ends that."""
    _local_listeners.append(listener)

    def stop() -> None:
        if listener in _local_listeners:
            _local_listeners.remove(listener)

    return stop


def notify(using: str, payload: str) -> None:
    """Send one notice; a failure costs a poll interval and is logged, nothing more."""
    for listener in tuple(_local_listeners):
        listener(payload)
    connection = connections[using]
    if connection.vendor != "postgresql":
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, payload])
    except DatabaseError:
        logger.info("a wake-up notice could not be sent", exc_info=True)
