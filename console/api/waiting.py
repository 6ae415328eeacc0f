"""Wait for an item's end, for a while: short reads with sleeps between them, and no transaction open meanwhile.

A thread of this process is busy until then, so only `ROOST_API_WAITERS` requests may wait at once; one more is
answered at once, and comes again.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections

from console.api.reading import bounded
from runtime.choices import TERMINAL
from runtime.conf import settings as roost
from runtime.queries import items
from runtime.store import work_database

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0

_waiting = 0
_guard = threading.Lock()


def until_ended(item: uuid.UUID, seconds: float) -> None:
    """Return when the item has ended, after so many seconds at the latest. Raises `NotFound` if it is removed."""
    end = time.monotonic() + min(seconds, roost.API_WAIT_SECONDS)
    with place() as free:
        pause = FIRST_PAUSE
        while free and not _ended(item) and (left := end - time.monotonic()) > 0:
            give_back_connection()
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, LONGEST_PAUSE)


def _ended(item: uuid.UUID) -> bool:
    with bounded():
        return items.state_of(item) in TERMINAL


def give_back_connection() -> None:
    """Let others of the pool have the connection; without a pool it stays, since a new one costs more than it."""
    connection = connections[work_database()]
    if connection.settings_dict.get("OPTIONS", {}).get("pool") and not connection.in_atomic_block:
        connection.close()


@contextmanager
def place() -> Iterator[bool]:
    """Take one of the places for those who wait; False says that there is none."""
    global _waiting
    with _guard:
        free = _waiting < roost.API_WAITERS
        _waiting += free
    try:
        yield free
    finally:
        with _guard:
            _waiting -= free
