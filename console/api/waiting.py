"""Wait for an item's end, for a while: short reads with sleeps between them, and no transaction open meanwhile.

One of those who wait reads for all of them, a query however many they are, and hands that on when it leaves. A thread
of this process is busy until then, so only `ROOST_API_WAITERS` requests may wait at once; one more is answered at
once, and comes again.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import connections

from console.api.reading import bounded
from runtime.conf import settings as roost
from runtime.queries import items
from runtime.store import work_database

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 0.25

_waiting = 0
_guard = threading.Lock()


@dataclass(eq=False, kw_only=True, slots=True)
class Waiter:
    """One request that waits. `reads` says that it is the one that reads for all."""

    item: uuid.UUID
    until: float
    reads: bool = False
    over: bool = False
    woken: threading.Event = field(default_factory=threading.Event)

    @property
    def left(self) -> float:
        """Seconds that it may still wait."""
        return self.until - time.monotonic()


class Crowd:
    """Those who wait in this process."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiters: list[Waiter] = []

    def wait(self, item: uuid.UUID, until: float) -> None:
        """Return when the item has ended or is gone, or the time is over. Raises what a read raises."""
        me = Waiter(item=item, until=until)
        with self._guard:
            me.reads = not any(one.reads for one in self._waiters)
            self._waiters.append(me)
        try:
            while not me.over and me.left > 0:
                if me.reads:
                    self._read_for_all(me)
                else:
                    give_back_connection()
                    me.woken.wait(max(0.0, me.left))
                    me.woken.clear()
        finally:
            self._leave(me)

    def _read_for_all(self, me: Waiter) -> None:
        pause = FIRST_PAUSE
        while True:
            with self._guard:
                wanted = {one.item for one in self._waiters}
            with bounded():
                live = items.live(wanted)
            self._tell(wanted - live)
            left = me.left
            if me.over or left <= 0:
                return
            give_back_connection()
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, LONGEST_PAUSE)

    def _tell(self, ended: set[uuid.UUID]) -> None:
        with self._guard:
            for one in self._waiters:
                if one.item in ended:
                    one.over = True
                    one.woken.set()

    def _leave(self, me: Waiter) -> None:
        """Go, and let another read if it was me."""
        with self._guard:
            self._waiters.remove(me)
            if me.reads and self._waiters:
                self._waiters[0].reads = True
                self._waiters[0].woken.set()


_crowd = Crowd()


def until_ended(item: uuid.UUID, seconds: float) -> None:
    """Return when the item has ended, or is removed, after so many seconds at the latest."""
    end = time.monotonic() + min(seconds, roost.API_WAIT_SECONDS)
    with place() as free:
        if free:
            _crowd.wait(item, end)


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
